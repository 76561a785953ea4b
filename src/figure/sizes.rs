//! The training sizes of some rows, which figures show side by side.

use super::{Error, Results};
use crate::results::table::{Key, SOURCE_SEED};

/// The swept setting that figures know how to show.
pub(super) const TRAIN_SIZE: &str = "train_size";

/// The different training sizes of `keys`, rising.
///
/// # Errors
/// When the keys differ in a setting other than `train_size` and the source's seed, or a size is not above 0.
pub(super) fn sizes<'a>(
    results: &Results,
    keys: impl Iterator<Item = &'a Key>,
) -> Result<Vec<Option<f64>>, Error> {
    let mut sizes: Vec<Option<f64>> = Vec::new();
    let mut first: Option<&Key> = None;
    let is_not_shown = |(name, _): &&(String, f64)| name != TRAIN_SIZE && name != SOURCE_SEED;
    for key in keys {
        for (setting, value) in key.settings.iter().filter(is_not_shown) {
            if first.get_or_insert(key).setting(setting) != Some(*value) {
                let experiment = results.name.to_owned();
                return Err(Error::Pooled { experiment, setting: setting.clone() });
            }
        }
        let size = key.setting(TRAIN_SIZE);
        if let Some(size) = size.filter(|size| !(size.is_finite() && *size > 0.0)) {
            return Err(Error::Size { experiment: results.name.to_owned(), size });
        }
        if !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    sizes.sort_by(|a, b| a.unwrap_or(0.0).total_cmp(&b.unwrap_or(0.0)));
    Ok(sizes)
}
