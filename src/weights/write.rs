//! Checkpoints of our own: plain safetensors, the same bytes for the same arrays.

use super::Checkpoint;
use crate::digest::sha256;

/// The checkpoint as a safetensors file, which [`load`](super::load) and Python read.
pub fn to_safetensors(checkpoint: &Checkpoint) -> Vec<u8> {
    let data: Vec<(&String, Vec<u8>)> = checkpoint
        .iter()
        .map(|(name, array)| (name, array.values().iter().flat_map(|v| v.to_le_bytes()).collect()))
        .collect();
    let views = data.iter().map(|(name, bytes)| {
        let shape = checkpoint[*name].shape().to_vec();
        let view = ::safetensors::tensor::TensorView::new(::safetensors::Dtype::F32, shape, bytes);
        (name, view.expect("an array's values fill its shape"))
    });
    ::safetensors::serialize(views, None).expect("names and shapes of a checkpoint fit a header")
}

/// The SHA-256 of the checkpoint's names, shapes and values, in hexadecimal.
pub fn digest(checkpoint: &Checkpoint) -> String {
    sha256(&to_safetensors(checkpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Array, load};

    #[test]
    fn a_checkpoint_survives_being_written_and_read() {
        let array = Array::new(vec![2, 2], vec![1.0, -0.0, f32::MIN_POSITIVE, -3.5]).unwrap();
        let checkpoint = Checkpoint::from([("layer.weight".to_owned(), array)]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.safetensors");
        std::fs::write(&path, to_safetensors(&checkpoint)).unwrap();
        assert_eq!(load(&path).unwrap(), checkpoint);
        assert_eq!(digest(&checkpoint), digest(&load(&path).unwrap()));
    }
}
