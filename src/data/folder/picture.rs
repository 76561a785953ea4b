//! Decodes the pictures of a folder, on all cores.

use std::fs;
use std::io::Cursor;
use std::num::NonZeroUsize;
use std::panic::{UnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;

use image::imageops::FilterType;
use image::io::Reader;
use image::{DynamicImage, ImageError};

use super::tree::{Class, Error};
use crate::digest::sha256;
use crate::memory;

/// Sides beyond which a file is taken for a mistake or an attack.
const LARGEST_SIDE: u32 = 16_384;

/// The most pixels that a file may have, and how many more for each of its bytes. A page of one colour
/// takes less than a thousandth of a byte a pixel, and is no picture to learn from.
const PIXELS: u64 = 1 << 23;
const DENSEST: u64 = 1024;

/// Bytes of memory that a pixel takes while it is decoded: a progressive JPEG's coefficients, its planes,
/// and what they make; 16 bits a channel at most.
const DECODING: u64 = 16;

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
    let decoded = decoded(bytes)?;
    if decoded.width() == 0 || decoded.height() == 0 {
        return Err("it has no pixel".into());
    }
    Ok(without_ends(decoded).resize_to_fill(side, side, FilterType::Triangle))
}

fn decoded(bytes: &[u8]) -> Result<DynamicImage, String> {
    let words = |error: ImageError| error.to_string();
    let reader =
        || -> Result<_, ImageError> { Ok(Reader::new(Cursor::new(bytes)).with_guessed_format()?) };
    let (width, height) = reader().and_then(Reader::into_dimensions).map_err(words)?;
    if width.max(height) > LARGEST_SIDE {
        return Err(format!("a side of {} pixels is beyond {LARGEST_SIDE}", width.max(height)));
    }
    // The decoders take what the header says before they look further.
    let (pixels, file) = (u64::from(width) * u64::from(height), bytes.len() as u64);
    if pixels > PIXELS + DENSEST * file {
        return Err(format!("{width} × {height} pixels are more than its {file} bytes can hold"));
    }
    memory::check(DECODING * pixels).map_err(|cause| cause.to_string())?;
    reader().and_then(Reader::decode).map_err(words)
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

    /// A PNG that says it has so many pixels and ends there.
    fn claims(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let png = image::codecs::png::PngEncoder::new(&mut bytes);
        image::ImageEncoder::write_image(png, &[0], 1, 1, image::ColorType::L8).unwrap();
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = {
            let mut sum = flate2::Crc::new();
            sum.update(&bytes[12..29]);
            sum.sum()
        };
        bytes[29..33].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn a_picture_that_claims_more_pixels_than_its_file_can_hold_is_refused_before_it_is_decoded() {
        assert!(decoded(&claims(1, 1)).is_ok());
        let refused = decoded(&claims(16_000, 16_000)).unwrap_err();
        assert!(refused.starts_with("16000 × 16000 pixels are more than its "), "{refused}");
        let refused = decoded(&claims(20_000, 1)).unwrap_err();
        assert_eq!(refused, "a side of 20000 pixels is beyond 16384");
        assert!(decoded(&claims(1 << 30, 1 << 30)).is_err());
    }

    #[test]
    fn a_panic_in_a_decoder_is_an_error() {
        let error = without_panic::<()>(|| panic!("index out of bounds")).unwrap_err();
        assert_eq!(error, "its decoder gave up");
        assert_eq!(without_panic(|| Ok(1)), Ok(1));
    }
}
