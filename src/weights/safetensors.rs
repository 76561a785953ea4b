//! Reads safetensors files: floating-point numbers of 8 to 64 bits.

use std::io;
use std::sync::Arc;

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensorError};

use super::Problem;
use super::bytes::Bytes;
use super::data::Data;
use super::floats::Float;
use super::left::Kind;
use super::strides::row_major;
use super::tree::{Group, Node};
use super::view::View;
use crate::memory;

/// The longest header that the format allows.
const LONGEST_HEADER: u64 = 100_000_000;

/// Bytes of memory that a byte of a header may take while it is read.
const HEADER_COST: u64 = 64;

/// How long the header of `head` is, if it is one of a safetensors file.
pub(super) fn header_length(head: &[u8]) -> Option<u64> {
    let (length, rest) = head.split_first_chunk()?;
    let length = u64::from_le_bytes(*length);
    (length <= LONGEST_HEADER && rest.first() == Some(&b'{')).then_some(length)
}

/// What the safetensors file `bytes` holds.
pub(super) fn parse(bytes: &Bytes) -> Result<Group, Problem> {
    let unsound = Problem::Safetensors;
    let head = bytes.head(9).map_err(Problem::Read)?;
    let length = header_length(&head).ok_or(unsound(SafeTensorError::HeaderTooLarge))?;
    let header =
        bytes.part(8, length).ok_or(Problem::CutOff("a safetensors file in its header"))?;
    // A list of the shortest numbers takes this much of each of its bytes.
    let memory = memory::check(HEADER_COST * length).map_err(io::Error::other);
    memory.map_err(Problem::Read)?;
    let header = header.all().map_err(Problem::Read)?;
    let header: Metadata = serde_json::from_slice(&header)
        .map_err(|error| unsound(SafeTensorError::InvalidHeaderDeserialization(error)))?;
    let values = bytes.after(8 + length);
    if values.len() < header.data_len() as u64 {
        return Err(Problem::CutOff("a safetensors file in its values"));
    }
    if values.len() > header.data_len() as u64 {
        return Err(Problem::Trailing { bytes: values.len() - header.data_len() as u64 });
    }
    let mut group = Group::default();
    for name in header.offset_keys() {
        let info = header.info(&name).expect("the name is of this header");
        match element(info.dtype) {
            Ok(float) => group.add(name, Node::Tensor(Box::new(view(info, float, &values)))),
            Err(Some(kind)) => group.left.add(kind),
            Err(None) => {
                let expected = "`F8_E4M3`, `F8_E5M2`, `F16`, `BF16`, `F32` or `F64`";
                let got = info.dtype.to_string();
                let problem = Problem::Dtype { array: name.clone(), expected, got };
                group.add(name, Node::Fault(Box::new(problem)));
            }
        }
    }
    Ok(group)
}

fn view(info: &TensorInfo, float: Float, values: &Bytes) -> View {
    let (start, end) = info.data_offsets;
    let data = values.part(start as u64, (end - start) as u64).expect("the header was checked");
    let data = (Arc::new(Data::plain(data)), 0);
    let view = View::new(info.shape.clone(), &row_major(&info.shape), 0, data, float.into());
    view.expect("the header was checked: its offsets fill the shape")
}

/// The format of a tensor's values, or else what they are, if that is known.
fn element(dtype: Dtype) -> Result<Float, Option<Kind>> {
    Ok(match dtype {
        Dtype::F8_E4M3 => Float::E4m3,
        Dtype::F8_E5M2 => Float::E5m2,
        Dtype::F16 => Float::F16,
        Dtype::BF16 => Float::Bf16,
        Dtype::F32 => Float::F32,
        Dtype::F64 => Float::F64,
        Dtype::BOOL => return Err(Some(Kind::Bools)),
        Dtype::U8 | Dtype::I8 | Dtype::U16 | Dtype::I16 | Dtype::U32 | Dtype::I32 => {
            return Err(Some(Kind::Integers));
        }
        Dtype::U64 | Dtype::I64 => return Err(Some(Kind::Integers)),
        Dtype::C64 => return Err(Some(Kind::Complex)),
        _ => return Err(None),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use crate::weights::testing::{read, read_views, refusal};

    fn file(dtype: Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let view = TensorView::new(dtype, shape.to_vec(), data).unwrap();
        safetensors::serialize([("conv.weight", view)], None).unwrap()
    }

    #[test]
    fn every_floating_point_type_is_read_as_float32() {
        for (dtype, data) in [
            (Dtype::F16, [0x00, 0x3c, 0x00, 0xc0].to_vec()),
            (Dtype::BF16, [0x80, 0x3f, 0x00, 0xc0].to_vec()),
            (Dtype::F32, [1_f32, -2.0].map(f32::to_le_bytes).concat()),
            (Dtype::F64, [1_f64, -2.0].map(f64::to_le_bytes).concat()),
        ] {
            let checkpoint = read(&file(dtype, &[1, 2], &data), "").unwrap();
            let array = &checkpoint["conv.weight"];
            assert_eq!((array.shape(), array.values()), (&[1, 2][..], &[1.0, -2.0][..]));
        }
    }

    #[test]
    fn integers_of_any_shape_are_left_out_and_counted() {
        let float = TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap();
        let counter = TensorView::new(Dtype::I64, vec![], &[0; 8]).unwrap();
        let table = TensorView::new(Dtype::I32, vec![2, 1], &[0; 8]).unwrap();
        let mask = TensorView::new(Dtype::BOOL, vec![2], &[0; 2]).unwrap();
        let all = [("w", float), ("counter", counter), ("table", table), ("mask", mask)];
        let (views, account) = read_views(&safetensors::serialize(all, None).unwrap(), "").unwrap();
        assert_eq!(views.keys().collect::<Vec<_>>(), ["w"]);
        assert_eq!(account.left.to_string(), "2 arrays of integers, 1 array of bools");
    }

    #[test]
    fn a_type_that_may_be_weights_and_is_not_read_is_refused_by_name() {
        let refused = refusal(&file(Dtype::F8_E8M0, &[2], &[1, 2]));
        assert!(refused.starts_with("conv.weight: expected `F8_E4M3`, "), "{refused}");
        assert!(refused.ends_with("got `F8_E8M0`"), "{refused}");
    }

    #[test]
    fn a_float64_beyond_float32_keeps_its_sign() {
        let bytes = file(Dtype::F64, &[1], &(-1e-300_f64).to_le_bytes());
        let signs = read_views(&bytes, "").unwrap().0["conv.weight"].signs().unwrap();
        assert_eq!(signs.to_signs(), [-1]);
        assert!(refusal(&bytes).starts_with("conv.weight: `-1e-300` does not fit"));
    }

    #[test]
    fn a_file_ends_with_its_last_value() {
        let mut bytes = file(Dtype::F32, &[1], &[0; 4]);
        bytes.push(0);
        assert_eq!(refusal(&bytes), "expected the end of the file, got 1 more bytes");
        let cut = refusal(&bytes[..bytes.len() - 2]);
        assert_eq!(cut, "is cut off: a safetensors file in its values; get the file again");
        assert!(refusal(&bytes[..20]).starts_with("is cut off: a safetensors file in its header"));
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in 0_usize..1000) {
            let bytes = file(Dtype::F32, &[2], &[0; 8]);
            prop_assert!(read(&bytes[..cut % bytes.len()], "").is_err());
        }
    }
}
