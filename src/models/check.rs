//! Checks of options that several networks have; messages begin with the key in an experiment file.

use super::Entry;

pub(super) fn hidden(widths: &[usize]) -> Result<(), String> {
    if widths.contains(&0) {
        return Err(format!("model.hidden: expected widths of at least 1, got `{widths:?}`"));
    }
    Ok(())
}

pub(super) fn dropout(rate: f64) -> Result<(), String> {
    if !(0.0..1.0).contains(&rate) {
        return Err(format!("model.dropout: expected a share in [0, 1), got `{rate}`"));
    }
    Ok(())
}

pub(super) fn image_at_least(least: usize, got: usize, entry: Entry) -> Result<(), String> {
    if got < least {
        let name = entry.name;
        return Err(format!("data.image_size: {name} needs at least {least} pixels, got `{got}`"));
    }
    Ok(())
}
