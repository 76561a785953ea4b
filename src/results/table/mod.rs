//! The tables of a results folder: what their columns hold, and how they are read and written.
//!
//! A [`Column`] is said once: files, documentation and readers follow the lists here. Swept settings
//! (`train_size`, …) stand between `arm` and `seed`, each under its own name. Rows come from finished
//! cells, and all but [`TIMING`] hold no times, so the same cells give the same bytes.
//!
//! Where the files lie and when they are written is left to others.

mod column;
mod curve;
mod index;
mod key;
mod timing;
mod trial;

pub use crate::train::{CurvePoint, ErrorCount, TensorCounts};
pub use column::{Column, Error, KEY, SEED};
pub use curve::{BY_TENSOR, CURVE, CurveRow, read_curves, write_curves};
pub use index::CurveIndex;
pub use key::{Key, SOURCE_SEED};
pub use timing::{CellTime, TIMING, Timing, read_timings, write_timings};
pub(crate) use trial::counted;
pub use trial::{
    MILESTONES, Milestones, Outcome, REASON, Status, TRIAL, Trial, read_ids, read_trials,
    write_trials,
};

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn trial() -> Trial {
        let settings = vec![("train_size".to_owned(), 100.0)];
        Trial {
            key: Key { id: "00ff".into(), arm: "frozen, odd".into(), settings, seed: 3 },
            outcome: Outcome {
                status: Status::Done,
                test_error: Some(ErrorCount { wrong: 5, of: 40 }),
                validation_error: Some(ErrorCount { wrong: 10, of: 30 }),
                train_error: Some(ErrorCount { wrong: 0, of: 100 }),
                best_step: Some(40),
                test_error_last: Some(ErrorCount { wrong: 6, of: 40 }),
                validation_error_last: Some(ErrorCount { wrong: 12, of: 30 }),
                validation_images: Some(30),
                test_images: Some(40),
                steps: 48,
                resets: 17,
                ..Outcome::failed()
            },
            reason: None,
        }
    }

    fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.csv");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn trials_survive_being_written_and_read() {
        let text = write_trials(&["train_size".into()], [trial()].into_iter());
        let (_folder, path) = written(&text);
        assert_eq!(read_trials(&path).unwrap(), [trial()]);
    }

    #[test]
    fn milestones_have_columns_where_a_row_has_some() {
        let mut reached = trial();
        let least_validation_error = ErrorCount { wrong: 7, of: 30 };
        let milestones = Milestones { least_validation_error, epochs_to_90: None };
        reached.outcome.milestones = Some(milestones);
        let text = write_trials(&["train_size".into()], [reached.clone(), trial()].into_iter());
        assert!(text.starts_with("id,arm,train_size,seed,status,"), "{text}");
        assert!(text.lines().next().unwrap().ends_with(",least_validation_error,epochs_to_90"));
        let (_folder, path) = written(&text);
        assert_eq!(read_trials(&path).unwrap(), [reached, trial()]);
    }

    #[test]
    fn a_reason_has_a_column_where_a_cell_failed() {
        let mut failed = trial();
        failed.outcome.status = Status::Failed;
        failed.reason = Some("its source, \"x\", failed".into());
        let text = write_trials(&["train_size".into()], [trial(), failed.clone()].into_iter());
        assert!(text.lines().next().unwrap().ends_with(",sign_flips,reason"), "{text}");
        let (_folder, path) = written(&text);
        assert_eq!(read_trials(&path).unwrap(), [trial(), failed]);
        assert_eq!(read_ids(&path).unwrap(), ["00ff", "00ff"]);
    }

    #[test]
    fn curves_survive_being_written_and_read() {
        let point = CurvePoint {
            step: 0,
            train_loss: None,
            validation_loss: Some(1.0 / 3.0),
            validation_error: ErrorCount { wrong: 27, of: 30 },
            resets: 0,
            sign_flips: 0,
            tensors: Vec::new(),
        };
        let plain = CurveRow { key: trial().key, point };
        let mut told_apart = plain.clone();
        let counts = |name: &str| TensorCounts { name: name.into(), resets: 3, sign_flips: 1 };
        told_apart.point.tensors = vec![counts("a.weight"), counts("b.weight")];
        let tensors = ["b.weight", "a.weight", "b.weight"].into_iter();
        let rows = [plain.clone(), told_apart.clone()].into_iter();
        let text = write_curves(&["train_size".into()], tensors, rows);
        let header = text.lines().next().unwrap();
        assert!(header.ends_with(",resets/b.weight,sign_flips/b.weight"), "{header}");
        let (_folder, path) = written(&text);
        assert_eq!(read_curves(&path, &[trial()]).unwrap(), [plain, told_apart]);
    }

    #[test]
    fn a_damaged_table_is_refused_with_line_and_column() {
        let text =
            write_trials(&["train_size".into()], [trial()].into_iter()).replace("0.125", "much");
        let (_folder, path) = written(&text);
        let message = read_trials(&path).unwrap_err().to_string();
        assert!(message.contains("line 2: `much` is no value of `test_error`"), "{message}");
    }

    #[test]
    fn an_error_that_is_no_whole_number_of_images_is_refused() {
        let text = write_trials(&["train_size".into()], [trial()].into_iter());
        for (images, what) in [
            (",41,48", "the error 0.125 is no whole number of 41 images"),
            (",,48", "the error 0.125 does not say of how many images it is"),
        ] {
            let (_folder, path) = written(&text.replace(",40,48", images));
            let message = read_trials(&path).unwrap_err().to_string();
            assert!(message.contains(&format!("line 2: {what}")), "{message}");
        }
    }

    #[test]
    fn a_curve_of_a_cell_that_has_no_row_is_refused() {
        let (_folder, path) = written(
            "id,arm,seed,step,train_loss,validation_loss,validation_error,resets,sign_flips\n\
             ff,odd,0,0,,,0.5,0,0\n",
        );
        let message = read_curves(&path, &[trial()]).unwrap_err().to_string();
        assert!(message.contains("line 2: the error 0.5 does not say of how many"), "{message}");
    }

    #[test]
    fn a_table_without_a_column_is_refused_by_its_name() {
        let (_folder, path) = written("id,arm,seed\n");
        let message = read_trials(&path).unwrap_err().to_string();
        assert!(message.contains("no column `status`"), "{message}");
    }
}
