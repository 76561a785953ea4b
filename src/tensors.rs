//! Named tensors and notes in one file, to go on from later.
//!
//! The file is a safetensors file, so Python and tch read it too. Its notes are JSON, in the metadata under
//! `polarity`. Its last tensor is `check`: the CRC-32 of all bytes before, so a file that was cut off, or in
//! which a bit turned, is told from a whole one before anything of it is believed. What the tensors are for is
//! left to the caller; a stranger's checkpoint is for [`weights`](crate::weights).

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;

use flate2::Crc;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tch::{Kind, TchError, Tensor};

use crate::files;

/// The key of the notes in the metadata.
const NOTES: &str = "polarity";

/// The tensor that ends a file: an int64 scalar.
const CHECK: &str = "check";

const CHECK_BYTES: usize = size_of::<i64>();

/// The kinds that a file can hold.
const KINDS: [(Kind, Dtype, &str); 7] = [
    (Kind::Float, Dtype::F32, "F32"),
    (Kind::Double, Dtype::F64, "F64"),
    (Kind::Half, Dtype::F16, "F16"),
    (Kind::BFloat16, Dtype::BF16, "BF16"),
    (Kind::Int64, Dtype::I64, "I64"),
    (Kind::Uint8, Dtype::U8, "U8"),
    (Kind::Bool, Dtype::BOOL, "BOOL"),
];

/// Why a file could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is not what was written, or of another program.
    #[error("{0}")]
    Damaged(String),
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(#[from] TchError),
}

/// Writes `tensors`, from whatever device, and `notes` to `path`, whole or not at all.
///
/// # Errors
/// When the file cannot be written or a tensor is of a kind that it cannot hold; what was at `path` stays.
pub fn write(
    path: &Path,
    notes: &impl Serialize,
    tensors: &[(String, Tensor)],
) -> Result<(), Error> {
    let header = header(notes, tensors)?;
    let mut failure = None;
    let written = files::write_atomically_with(path, |file| {
        side_by_side(file, |send| {
            if let Err(error) = parts(header, tensors, send) {
                failure = Some(error);
                return Err(io::Error::other("libtorch"));
            }
            Ok(())
        })
    });
    match failure {
        Some(error) => Err(Error::Torch(error)),
        None => Ok(written?),
    }
}

/// Writes what `make` sends to `file`, while it makes the next.
fn side_by_side(
    file: &mut File,
    make: impl FnOnce(&mut dyn FnMut(Vec<u8>) -> ControlFlow<()>) -> io::Result<()>,
) -> io::Result<()> {
    std::thread::scope(|scope| {
        let (sender, made) = mpsc::sync_channel::<Vec<u8>>(1);
        let writer =
            scope.spawn(move || made.into_iter().try_for_each(|part| file.write_all(&part)));
        let end = make(&mut |part| match sender.send(part) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        });
        drop(sender);
        let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        end.and(written)
    })
}

/// Sends the parts of a file in their order, until all are sent or nobody wants more.
fn parts(
    header: Vec<u8>,
    tensors: &[(String, Tensor)],
    send: &mut dyn FnMut(Vec<u8>) -> ControlFlow<()>,
) -> Result<(), TchError> {
    let mut crc = Crc::new();
    let length = (header.len() as u64).to_le_bytes().to_vec();
    let start = [Ok(length), Ok(header)].into_iter();
    for part in start.chain(tensors.iter().map(|(_, tensor)| bytes_of(tensor))) {
        let part = part?;
        crc.update(&part);
        if send(part).is_break() {
            return Ok(());
        }
    }
    let _ = send(i64::from(crc.sum()).to_le_bytes().to_vec());
    Ok(())
}

/// Reads notes and tensors, on the CPU and in the order of their names.
///
/// # Errors
/// When the file cannot be read, is damaged, or has other notes.
pub fn read<N: DeserializeOwned>(path: &Path) -> Result<(N, Vec<(String, Tensor)>), Error> {
    of_bytes(&fs::read(path)?)
}

/// What a file of these `bytes` holds, as [`read`] reads it.
///
/// # Errors
/// When it is damaged, or has other notes.
pub fn of_bytes<N: DeserializeOwned>(bytes: &[u8]) -> Result<(N, Vec<(String, Tensor)>), Error> {
    let check = bytes.split_last_chunk::<CHECK_BYTES>();
    if check.is_none_or(|(body, check)| check_of(body) != *check) {
        return Err(damaged("cut off or altered: its check sum is another"));
    }
    let (_, about) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let notes = about.metadata().as_ref().and_then(|notes| notes.get(NOTES));
    let notes = notes.ok_or_else(|| damaged(format!("no notes `{NOTES}` in its metadata")))?;
    let notes = serde_json::from_str(notes).map_err(|error| damaged(format!("notes: {error}")))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?.tensors();
    let mut read: Vec<(String, Tensor)> = tensors
        .into_iter()
        .filter(|(name, _)| name != CHECK)
        .map(|(name, view)| Ok((name, tensor(&view)?)))
        .collect::<Result<_, Error>>()?;
    read.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((notes, read))
}

/// The bytes that end a file which begins with `body`: its CRC-32 as an int64, little-endian.
pub fn check_of(body: &[u8]) -> [u8; CHECK_BYTES] {
    let mut crc = Crc::new();
    crc.update(body);
    i64::from(crc.sum()).to_le_bytes()
}

fn damaged(what: impl ToString) -> Error {
    Error::Damaged(what.to_string())
}

fn tensor(view: &TensorView) -> Result<Tensor, Error> {
    let kind = KINDS.iter().find(|(_, dtype, _)| *dtype == view.dtype());
    let (kind, ..) = kind.ok_or_else(|| damaged(format!("a tensor of {:?}", view.dtype())))?;
    let shape = view.shape().iter().map(|&side| i64::try_from(side).ok());
    let shape: Option<Vec<i64>> = shape.collect();
    // Where a side is 0 the others may be anything, and their product more than can be counted.
    let countable =
        |shape: &Vec<i64>| shape.iter().try_fold(1_i64, |count, side| count.checked_mul(*side));
    let shape = shape.filter(|shape| countable(shape).is_some());
    let shape = shape.ok_or_else(|| damaged(format!("a tensor of shape {:?}", view.shape())))?;
    Ok(Tensor::f_from_data_size(view.data(), &shape, *kind)?)
}

/// The header of a file with `tensors` in this order and the check behind them, without its length.
fn header(notes: &impl Serialize, tensors: &[(String, Tensor)]) -> Result<Vec<u8>, Error> {
    let notes = serde_json::to_string(notes).map_err(|error| damaged(format!("notes: {error}")))?;
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!(HashMap::from([(NOTES, notes)])));
    let mut from = 0;
    let mut add = |name: &str, dtype: &str, shape: &[i64], bytes: usize| {
        let about = json!({"dtype": dtype, "shape": shape, "data_offsets": [from, from + bytes]});
        from += bytes;
        header.insert(name.to_owned(), about).is_none()
    };
    for (name, tensor) in tensors {
        let (kind, shape) = (tensor.kind(), tensor.size());
        let (.., dtype) = KINDS
            .iter()
            .find(|(known, ..)| *known == kind)
            .ok_or_else(|| damaged(format!("{name}: a tensor of {kind:?} cannot be kept")))?;
        if name == CHECK || !add(name, dtype, &shape, size_of_values(tensor)) {
            return Err(damaged(format!("{name}: another tensor has this name")));
        }
    }
    add(CHECK, "I64", &[], CHECK_BYTES);
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(CHECK_BYTES), b' ');
    Ok(header)
}

fn size_of_values(tensor: &Tensor) -> usize {
    tensor.numel() * tensor.kind().elt_size_in_bytes()
}

/// The values of `tensor`, row by row.
fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>, TchError> {
    let mut bytes = vec![0; size_of_values(tensor)];
    tensor.f_detach()?.f_contiguous()?.f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tensors() -> Vec<(String, Tensor)> {
        vec![
            ("layer.weight".into(), Tensor::from_slice(&[1.0_f32, -0.0, f32::NAN]).reshape([3, 1])),
            ("layer.steps".into(), Tensor::from(7_i64)),
            ("losses/sum".into(), Tensor::from(f64::INFINITY)),
            ("half".into(), Tensor::from_slice(&[0.5_f32]).to_kind(Kind::BFloat16)),
            ("none".into(), Tensor::zeros([0, 2], (Kind::Float, tch::Device::Cpu))),
            ("turned".into(), Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).reshape([2, 2]).tr()),
        ]
    }

    fn bytes() -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.safetensors");
        write(&path, &("seed", 3), &tensors()).unwrap();
        fs::read(path).unwrap()
    }

    fn bits((name, tensor): &(String, Tensor)) -> (String, Kind, Vec<i64>, Vec<u8>) {
        (name.clone(), tensor.kind(), tensor.size(), bytes_of(tensor).unwrap())
    }

    #[test]
    fn what_is_written_is_read_bit_for_bit() {
        let (notes, read) = of_bytes::<(String, u32)>(&bytes()).unwrap();
        assert_eq!(notes, ("seed".into(), 3));
        let mut written: Vec<_> = tensors().iter().map(bits).collect();
        written.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(read.iter().map(bits).collect::<Vec<_>>(), written);
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn other_programs_read_the_tensors_and_the_notes() {
        let bytes = bytes();
        let (_, about) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(about.metadata().as_ref().unwrap()[NOTES], "[\"seed\",3]");
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("layer.weight").unwrap().shape(), [3, 1]);
        assert_eq!(file.names().len(), tensors().len() + 1);
    }

    #[test]
    fn a_file_cut_anywhere_is_called_damaged() {
        let bytes = bytes();
        for length in 0..bytes.len() {
            let error = of_bytes::<(String, u32)>(&bytes[..length]).unwrap_err();
            assert!(matches!(error, Error::Damaged(_)), "{length}: {error}");
        }
    }

    #[test]
    fn a_name_twice_and_the_name_of_the_check_are_refused() {
        for names in [["a", "a"], ["a", CHECK]] {
            let tensors = names.map(|name| (name.to_owned(), Tensor::from(1_i64)));
            let error = header(&(), &tensors).unwrap_err();
            assert!(error.to_string().contains("another tensor has this name"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_file_with_any_bits_turned_is_called_damaged(
            place in 0..bytes().len(),
            mask in 1_u8..,
        ) {
            let mut bytes = bytes();
            bytes[place] ^= mask;
            prop_assert!(matches!(of_bytes::<(String, u32)>(&bytes), Err(Error::Damaged(_))));
        }
    }
}
