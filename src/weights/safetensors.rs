//! Reads safetensors files: float16, bfloat16, float32 and float64, as float32.

use safetensors::{Dtype, SafeTensors};

use super::floats::Float;
use super::{Array, Checkpoint, Problem};

pub(super) fn parse(bytes: &[u8]) -> Result<Checkpoint, Problem> {
    let file = SafeTensors::deserialize(bytes).map_err(Problem::Safetensors)?;
    let mut checkpoint = Checkpoint::new();
    for (name, view) in file.iter() {
        let array = name.to_owned();
        let float = match view.dtype() {
            Dtype::F16 => Float::F16,
            Dtype::BF16 => Float::Bf16,
            Dtype::F32 => Float::F32,
            Dtype::F64 => Float::F64,
            // Counters of batches are no weights.
            Dtype::I64 if view.shape().is_empty() => continue,
            other => {
                let expected = "`F16`, `BF16`, `F32` or `F64`";
                return Err(Problem::Dtype { array, expected, got: other.to_string() });
            }
        };
        let values = float
            .decode(view.data())
            .map_err(|value| Problem::Range { array: name.into(), value })?;
        let shape = view.shape().to_vec();
        let tensor = Array::new(shape, values).expect("safetensors checks data against shape");
        checkpoint.insert(array, tensor);
    }
    Ok(checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use safetensors::tensor::TensorView;

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
            let checkpoint = parse(&file(dtype, &[1, 2], &data)).unwrap();
            let array = &checkpoint["conv.weight"];
            assert_eq!((array.shape(), array.values()), (&[1, 2][..], &[1.0, -2.0][..]));
        }
    }

    #[test]
    fn a_counter_is_left_out() {
        assert_eq!(parse(&file(Dtype::I64, &[], &[7, 0, 0, 0, 0, 0, 0, 0])).unwrap().len(), 0);
        assert!(parse(&file(Dtype::I64, &[1], &[7, 0, 0, 0, 0, 0, 0, 0])).is_err());
    }

    #[test]
    fn another_type_is_refused_by_name() {
        let error = parse(&file(Dtype::I8, &[2], &[1, 2])).unwrap_err().to_string();
        assert_eq!(error, "conv.weight: expected `F16`, `BF16`, `F32` or `F64`, got `I8`");
    }

    #[test]
    fn a_float64_that_loses_its_polarity_is_refused_by_name() {
        let error = parse(&file(Dtype::F64, &[1], &(-1e-300_f64).to_le_bytes())).unwrap_err();
        assert!(error.to_string().starts_with("conv.weight: `-1e-300` does not fit"), "{error}");
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = file(Dtype::F32, &[1], &[0; 4]);
        bytes.push(0);
        assert!(matches!(parse(&bytes), Err(Problem::Safetensors(_))));
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in 0_usize..1000) {
            let bytes = file(Dtype::F32, &[2], &[0; 8]);
            prop_assert!(parse(&bytes[..cut % bytes.len()]).is_err());
        }
    }
}
