//! Files that people take for checkpoints, named for what they are, with a way out.
//!
//! A table: what a file begins with, what it is, and what to do. It is looked at only when no reader
//! knows the file.

/// A file that is not read.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("is {what}; {advice}")]
pub struct Stranger {
    what: &'static str,
    advice: &'static str,
}

/// What a file of some kind has at `offset`.
type Mark = (usize, &'static [u8], Stranger);

const fn mark(
    offset: usize,
    bytes: &'static [u8],
    what: &'static str,
    advice: &'static str,
) -> Mark {
    (offset, bytes, Stranger { what, advice })
}

const UNPACK: &str = "unpack it, and name the checkpoint in it";
const CONVERT_HDF5: &str = "open it with h5py or Keras and save its arrays with `numpy.savez`";
const CONVERT_TENSORFLOW: &str = "read it with `tf.train.load_checkpoint` and save its tensors with \
                                  `numpy.savez`";
const AGAIN: &str = "get the file again";

const MARKS: &[Mark] = &[
    mark(
        0,
        b"version https://git-lfs.github.com/",
        "a Git LFS pointer, which stands for a large file",
        "get the file itself with `git lfs pull`",
    ),
    mark(0, b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras's `.h5`)", CONVERT_HDF5),
    mark(
        0,
        b"GGUF",
        "a GGUF file, whose weights are mostly quantised",
        "take the checkpoint that it was made from",
    ),
    mark(
        0,
        b"\x57\xfb\x80\x8b\x24\x75\x47\xdb",
        "TensorFlow's index of a checkpoint",
        CONVERT_TENSORFLOW,
    ),
    mark(0, b"model_checkpoint_path:", "TensorFlow's list of checkpoints", CONVERT_TENSORFLOW),
    mark(4, b"TFL3", "a TensorFlow Lite model", "take the checkpoint that it was made from"),
    mark(
        0,
        b"\x12\x01\0\0\0\0\0\0",
        "MXNet's file of parameters",
        "save its arrays with `numpy.savez`",
    ),
    mark(
        0,
        b"MATLAB 5.0 MAT-file",
        "a MATLAB file",
        "read it with `scipy.io.loadmat` and save its arrays with `numpy.savez`",
    ),
    mark(0, b"\x1f\x8b", "compressed with gzip", UNPACK),
    mark(0, b"\xfd7zXZ\0", "compressed with xz", UNPACK),
    mark(0, b"BZh", "compressed with bzip2", UNPACK),
    mark(0, b"\x28\xb5\x2f\xfd", "compressed with zstd", UNPACK),
    mark(0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    mark(0, b"Rar!", "a RAR archive", UNPACK),
    mark(
        257,
        b"ustar",
        "a tar archive",
        "unpack it, or, if PyTorch 0.1 wrote it, load it there and save its state dict again",
    ),
    mark(
        0,
        b"\x78",
        "compressed with zlib, as joblib does it",
        "load it with `joblib.load` and save its arrays with `numpy.savez`",
    ),
    mark(0, b"\x89PNG", "a picture", "name a checkpoint"),
    mark(0, b"\xff\xd8\xff", "a picture", "name a checkpoint"),
    mark(0, b"%PDF", "a PDF document", "name a checkpoint"),
    mark(0, b"\x7fELF", "a program", "name a checkpoint"),
];

/// What the file is that begins with `head`, if it is known.
pub(super) fn named(head: &[u8]) -> Option<Stranger> {
    let has = |(offset, bytes, _): &&Mark| {
        head.get(*offset..).is_some_and(|from| from.starts_with(bytes))
    };
    if let Some((.., stranger)) = MARKS.iter().find(has) {
        return Some(*stranger);
    }
    let stranger = |what, advice| Some(Stranger { what, advice });
    if !head.is_empty() && head.iter().all(|&byte| byte == 0) {
        return stranger("nothing but zeros at its beginning", AGAIN);
    }
    if is_web_page(head) {
        return stranger(
            "a web page and no checkpoint",
            "get the file again, from its own address",
        );
    }
    match head {
        // A protocol buffer whose first field is a small number, and its second the producer's name.
        [0x08, 3..=20, 0x12 | 0x1a | 0x22 | 0x3a | 0x42, ..] => stranger(
            "an ONNX model",
            "save its weights: `numpy.savez(\"out.npz\", **{t.name: onnx.numpy_helper.to_array(t) for t \
             in onnx.load(FILE).graph.initializer})`",
        ),
        // A map whose first key is a short text.
        [0x81..=0x8f | 0xde | 0xdf, 0xa1..=0xbf, ..] => stranger(
            "a MessagePack file, as Flax writes it",
            "load it with `flax.serialization.msgpack_restore` and pickle the dict",
        ),
        _ if text_of(head).starts_with(['{', '[']) => {
            stranger("a JSON file", "name the checkpoint that it belongs to")
        }
        _ => None,
    }
}

fn is_web_page(head: &[u8]) -> bool {
    let text = text_of(head).to_ascii_lowercase();
    ["<!doctype", "<html", "<head", "<?xml", "<!--"].iter().any(|start| text.starts_with(start))
}

/// The first words of a file of text.
fn text_of(head: &[u8]) -> String {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    String::from_utf8_lossy(&text[..text.len().min(200)]).trim_start().to_owned()
}

/// What a zip archive with these parts is, if it is known and not read.
pub(super) fn in_archive<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Stranger> {
    let stranger = |what, advice| Some(Stranger { what, advice });
    for part in parts {
        let name = part.rsplit('/').next().unwrap_or(part);
        let found = match name {
            "model.weights.h5" => stranger("a Keras model", CONVERT_HDF5),
            "archive_format" | "serialized_exported_program.json" => stranger(
                "a program of `torch.export` (`.pt2`)",
                "save its weights: `torch.save(torch.export.load(FILE).state_dict, \"out.pth\")`",
            ),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(head: &[u8]) -> Option<&'static str> {
        named(head).map(|stranger| stranger.what)
    }

    #[test]
    fn files_that_are_no_checkpoints_are_named() {
        for (head, expected) in [
            (
                &b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a"[..],
                "a Git LFS pointer",
            ),
            (b"\n <!DOCTYPE html><html>", "a web page"),
            (b"\xef\xbb\xbf<HTML>", "a web page"),
            (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file"),
            (b"GGUF\x03\0\0\0", "a GGUF file"),
            (b"\x08\x07\x12\x07pytorch", "an ONNX model"),
            (b"\x81\xa6params", "a MessagePack file"),
            (b"\x1f\x8b\x08\0", "compressed with gzip"),
            (b"{\"epoch\": 3}", "a JSON file"),
            (&[0; 512], "nothing but zeros"),
        ] {
            let what = what(head).unwrap_or_default();
            assert!(what.starts_with(expected), "{what} for {}", head.escape_ascii());
        }
        assert_eq!(what(b""), None);
        assert_eq!(what(b"some text"), None);
    }

    #[test]
    fn archives_that_are_no_checkpoints_are_named() {
        let what = |parts: &[&str]| in_archive(parts.iter().copied()).map(|found| found.what);
        assert_eq!(what(&["config.json", "model.weights.h5"]), Some("a Keras model"));
        assert!(what(&["m/archive_format", "m/data/weights/w"]).unwrap().contains("`.pt2`"));
        assert_eq!(what(&["net/data.pkl", "net/data/0"]), None);
    }
}
