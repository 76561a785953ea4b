//! Decodes the pictures of a folder, on all cores.

use std::fs;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::panic::{UnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;

use image::imageops::FilterType;
use image::io::{Limits, Reader};
use image::{DynamicImage, ImageError};

use super::tree::{Class, Error};
use crate::digest::sha256;

/// Sides beyond which a file is taken for a mistake or an attack.
const LARGEST_SIDE: u32 = 16_384;

/// How many times longer than the other a side may be before its ends are cut off: scaled as a whole, a
/// picture of 16,384 × 1 pixels would take gigabytes.
const LONGEST: u32 = 16;

/// One image: a square, its class, and what identifies it.
pub(super) struct Picture {
    pub pixels: DynamicImage,
    pub label: u16,
    /// The SHA-256 of the file and its path below the folder.
    pub digest: String,
}

/// The images of `classes`, in order, on all cores.
pub(super) fn decode(classes: &[Class], root: &Path, side: usize) -> Result<Vec<Picture>, Error> {
    let files: Vec<(u16, &PathBuf)> = (0..=u16::MAX)
        .zip(classes)
        .flat_map(|(label, class)| class.files.iter().map(move |file| (label, file)))
        .collect();
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = files.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        let workers: Vec<_> = files
            .chunks(share)
            .map(|files| {
                let picture = |&(label, file): &(u16, &PathBuf)| picture(file, root, side, label);
                scope.spawn(move || files.iter().map(picture).collect::<Result<Vec<_>, _>>())
            })
            .collect();
        let mut pictures = Vec::with_capacity(files.len());
        for worker in workers {
            pictures.extend(worker.join().expect("a panic in a decoder is an error")?);
        }
        Ok(pictures)
    })
}

fn picture(file: &Path, root: &Path, side: usize, label: u16) -> Result<Picture, Error> {
    let bytes = fs::read(file).map_err(|cause| Error::Read { path: file.to_owned(), cause })?;
    let pixels = without_panic(|| square(&bytes, side as u32))
        .map_err(|cause| Error::Image { file: file.to_owned(), cause })?;
    let place = file.strip_prefix(root).unwrap_or(file).display();
    Ok(Picture { pixels, label, digest: format!("{} {place}", sha256(&bytes)) })
}

/// What `decode` gives. A panic of a decoder is a fault of the file as well: it was written by strangers.
fn without_panic<T>(decode: impl FnOnce() -> Result<T, String> + UnwindSafe) -> Result<T, String> {
    catch_unwind(decode).unwrap_or_else(|_| Err("its decoder gave up".into()))
}

/// The middle of the picture `bytes`, `side` pixels wide and high.
fn square(bytes: &[u8], side: u32) -> Result<DynamicImage, String> {
    let decoded = decoded(bytes).map_err(|cause| cause.to_string())?;
    if decoded.width() == 0 || decoded.height() == 0 {
        return Err("it has no pixel".into());
    }
    Ok(without_ends(decoded).resize_to_fill(side, side, FilterType::Triangle))
}

fn decoded(bytes: &[u8]) -> Result<DynamicImage, ImageError> {
    let mut reader = Reader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    reader.limits(limits);
    reader.decode()
}

/// The middle of a picture that is longer than [`LONGEST`] times its width; only its centre is kept
/// anyway.
fn without_ends(picture: DynamicImage) -> DynamicImage {
    let (width, height) = (picture.width(), picture.height());
    let most = LONGEST * width.min(height);
    if width.max(height) <= most {
        return picture;
    }
    let (w, h) = (width.min(most), height.min(most));
    picture.crop_imm((width - w) / 2, (height - h) / 2, w, h)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_decoder_is_an_error() {
        let error = without_panic::<()>(|| panic!("index out of bounds")).unwrap_err();
        assert_eq!(error, "its decoder gave up");
        assert_eq!(without_panic(|| Ok(1)), Ok(1));
    }
}
