//! Checks of options that several networks have.

use super::{Entry, OutOfRange};

/// The widest hidden layer, four times torchvision's: the largest head has 1.8 GB of weights then.
pub(crate) const WIDEST: usize = 16_384;

pub(super) fn hidden(widths: &[usize]) -> Result<(), OutOfRange> {
    match widths.iter().find(|width| !(1..=WIDEST).contains(*width)) {
        Some(width) => {
            let expected = format!("widths of at least 1 and at most {WIDEST}");
            Err(OutOfRange::new("model.hidden", expected, width))
        }
        None => Ok(()),
    }
}

pub(super) fn dropout(rate: f64) -> Result<(), OutOfRange> {
    match (0.0..1.0).contains(&rate) {
        true => Ok(()),
        false => Err(OutOfRange::new("model.dropout", "a share in [0, 1)", rate)),
    }
}

pub(super) fn image_at_least(least: usize, got: usize, entry: Entry) -> Result<(), OutOfRange> {
    match got >= least {
        true => Ok(()),
        false => {
            let expected = format!("at least {least} pixels, as {} needs", entry.name);
            Err(OutOfRange::new("data.image_size", expected, got))
        }
    }
}
