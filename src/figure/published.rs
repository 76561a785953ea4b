//! What the paper's authors found, for figures that show it beside our own error of the same kind.
//!
//! Their networks are larger (227 px, ungrouped, 62 million parameters), their error is that of the
//! validation images at the step that these choose, and their images are others; so it is a reference
//! and no expectation.
//!
//! **Source**: the authors' notebook `CV/tutorial_CV.ipynb`: Fashion-MNIST, median over 20 runs of the
//! error in % by training size.

/// Sizes of the rows of [`ERRORS`].
const SIZES: [f64; 10] =
    [100.0, 250.0, 500.0, 750.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0];

/// Arms by the names that experiments give them, with their errors in % by size.
const ERRORS: [(&str, [f64; 10]); 6] = [
    (
        "frozen-imagenet",
        [36.295, 28.640, 24.855, 23.725, 21.450, 18.825, 16.715, 15.375, 14.500, 13.720],
    ),
    (
        "fluid-imagenet",
        [36.720, 29.470, 25.410, 24.105, 21.815, 19.540, 17.620, 16.445, 15.370, 14.445],
    ),
    (
        "frozen-random",
        [43.505, 31.350, 27.220, 24.900, 23.745, 20.585, 18.085, 16.925, 15.825, 15.455],
    ),
    (
        "fluid-random",
        [43.450, 31.805, 27.420, 26.125, 24.105, 20.900, 18.590, 17.280, 16.100, 15.675],
    ),
    (
        "frozen-weights",
        [35.325, 29.085, 24.870, 23.965, 21.225, 17.720, 16.005, 14.820, 13.625, 13.005],
    ),
    (
        "fluid-weights",
        [38.015, 30.745, 26.020, 23.795, 23.050, 19.520, 16.930, 15.235, 14.395, 13.935],
    ),
];

/// The published error in % of the arm of that name at that size, if there is one.
pub(super) fn error(arm: &str, size: f64) -> Option<f64> {
    let (_, errors) = ERRORS.iter().find(|(name, _)| *name == arm)?;
    Some(errors[SIZES.iter().position(|known| *known == size)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_has_its_published_error_at_the_published_sizes_alone() {
        assert_eq!(error("fluid-random", 250.0), Some(31.805));
        assert_eq!((error("fluid-random", 300.0), error("frozen-shuffled", 250.0)), (None, None));
        assert!(ERRORS.iter().all(|(_, errors)| errors.is_sorted_by(|a, b| a > b)));
    }
}
