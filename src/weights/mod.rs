//! Other people's checkpoints as named tensors.
//!
//! [`open`] tells the format by a file's first bytes, never by its name, and nothing in a file is ever
//! executed: a pickle's calls are recognised or left alone (`pickle.rs`). A reader makes a tree of what
//! is there (`tree.rs`), of which the network is picked (`pick.rs`); its tensors are views of the file
//! (`view.rs`), whose signs are taken as they pass by. One file here reads one format; a further format
//! is one more reader and one more line in `Format`.
//!
//! What is no weight (numbers, texts, integers, the state of a random generator) is left out and counted.
//! [`Layout`] turns names and order of other libraries into ours, [`sources`] has the checkpoints that
//! polarity knows by name. What the names mean for a network is left to `transfer`.

mod archive;
mod array;
mod bytes;
mod data;
mod defect;
mod fault;
mod floats;
mod hashed;
mod header;
mod latin1;
mod layout;
mod left;
mod literal;
mod names;
mod npy;
mod numpy;
mod pick;
mod pickle;
mod problem;
mod safetensors;
mod shards;
pub mod sources;
mod stored;
mod stranger;
mod strides;
mod torch;
mod tree;
mod value;
mod view;
mod walk;
mod window;
mod write;
mod zipped;

pub use array::Array;
pub use defect::Defect;
pub use fault::Fault as PickleFault;
pub use hashed::Provenance;
pub use layout::Layout;
pub use left::LeftOut;
pub use names::Naming;
pub(crate) use names::{bare, renamed};
pub use problem::Problem;
pub use stranger::Stranger;
pub use view::View;
pub use write::{digest, to_safetensors};

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use pick::Picked;
use tree::Group;
use value::Pickle;

use crate::memory;
pub use crate::memory::TooMuch;
use crate::sign::Template;

/// A checkpoint: its arrays by name, in name order.
pub type Checkpoint = BTreeMap<String, Array>;

/// The tensors of a file by name, as they lie in it.
pub type Views = BTreeMap<String, View>;

/// What to take of a file, and under which names.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The dict that holds the network, its keys joined by dots; by default the one that is known for
    /// one.
    pub key: Option<String>,
    /// How the names are changed.
    pub naming: Naming,
}

/// What a file holds.
#[derive(Debug)]
pub struct Contents {
    /// Its tensors of floating-point numbers.
    pub views: Views,
    /// What else there is.
    pub account: Account,
    /// The file's name and digest.
    pub provenance: Provenance,
}

/// What was taken of a file, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The key of the dict that was taken, if it is not the outermost.
    pub key: Option<String>,
    /// The keys of the others that hold tensors, each with their number.
    pub others: Vec<(String, usize)>,
    /// What is no weight.
    pub left: LeftOut,
    /// Whether the file is one of several, by its name.
    pub is_one_of_several: bool,
}

impl fmt::Display for Account {
    /// A line for each thing to say, with its end; none where all was taken.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others: Vec<String> = self
            .others
            .iter()
            .map(|(key, tensors)| format!("`{}` ({tensors} tensors)", key.escape_debug()))
            .collect();
        let others = others.join(", ");
        match &self.key {
            Some(key) if others.is_empty() => writeln!(f, "took `{}`", key.escape_debug())?,
            Some(key) => writeln!(f, "took `{}`; there are also {others}", key.escape_debug())?,
            None if others.is_empty() => {}
            None => writeln!(f, "put aside {others}")?,
        }
        if !self.left.is_empty() {
            writeln!(f, "left out what is no weight: {}", self.left)?;
        }
        if self.is_one_of_several {
            writeln!(f, "by its name one of several files; name their index to read them all")?;
        }
        Ok(())
    }
}

/// The arrays of the file at `path`, each converted to float32. The one array of a file without names
/// has the name of the file.
///
/// # Errors
/// As [`open`], and when a float64 does not fit a float32.
pub fn load(path: &Path) -> Result<Checkpoint, Error> {
    let within = |problem| Error { file: path.to_owned(), problem };
    let (group, _) = tree_of(path)?;
    let picked = pick::pick(group, None, &Naming::default()).map_err(within)?;
    let views = views(picked, &Naming::default()).map_err(within)?.0;
    checkpoint(&views).map_err(within)
}

/// The tensors of the file at `path` that are `wanted`, as they lie in it.
///
/// # Errors
/// When the file cannot be read, is of no known format, is damaged, holds no weights, or does not say
/// which of several dicts is the network. The error names the file and the tensor.
pub fn open(path: &Path, wanted: &Wanted) -> Result<Contents, Error> {
    let within = |problem| Error { file: path.to_owned(), problem };
    let (group, files) = tree_of(path)?;
    let provenance = Provenance::of_files(path, files);
    let mut contents = contents(group, provenance, wanted).map_err(within)?;
    contents.account.is_one_of_several = shards::is_one_of_several(path);
    Ok(contents)
}

/// What is `wanted` of `group`.
fn contents(
    group: Group,
    mut provenance: Provenance,
    wanted: &Wanted,
) -> Result<Contents, Problem> {
    let picked = pick::pick(group, wanted.key.as_deref(), &wanted.naming)?;
    if let Some(key) = &picked.key {
        provenance.note(&format!(", `{}` in it", key.escape_debug()));
    }
    let (views, account) = views(picked, &wanted.naming)?;
    Ok(Contents { views, account, provenance })
}

/// The tensors that are `wanted` of the file that `bytes` are, called `name`.
///
/// # Errors
/// As [`open`], but for an index of several files, which is none that this reads.
pub fn read(bytes: Vec<u8>, name: &str, wanted: &Wanted) -> Result<Contents, Problem> {
    let bytes = Bytes::from(bytes);
    let path = Path::new(name);
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let group = parse(&bytes, &stem)?;
    contents(group, Provenance::of_files(path, vec![bytes]), wanted)
}

/// The signs of those tensors that have two or more dimensions.
///
/// # Errors
/// When a weight is not a number, or the file cannot be read.
pub fn signs(views: &Views, provenance: Provenance) -> Result<Template, Problem> {
    let mut masks = Vec::new();
    for (name, view) in views.iter().filter(|(_, view)| view.shape().len() >= 2) {
        let mask =
            view.signs().map_err(|defect| Problem::Defect { array: name.clone(), defect })?;
        masks.push((name, view.shape().to_vec(), mask));
    }
    let mut template = Template::new(provenance.finish()?);
    for (name, shape, mask) in masks {
        template.insert(name, shape, mask).expect("a mask is as long as its view");
    }
    Ok(template)
}

/// The values of `views` as float32.
///
/// # Errors
/// When a float64 does not fit, the file cannot be read, or all together are more than the memory holds.
pub fn checkpoint(views: &Views) -> Result<Checkpoint, Problem> {
    for (name, view) in views {
        let refused = |defect| Problem::Defect { array: name.clone(), defect };
        view.check_spread().map_err(refused)?;
    }
    // Tensors may share their values; each array has its own.
    let bytes = views.values().fold(0_u64, |sum, view| {
        sum.saturating_add((view.len() as u64).saturating_mul(size_of::<f32>() as u64))
    });
    memory::check(bytes).map_err(Problem::TooMuch)?;
    let array = |(name, view): (&String, &View)| match view.array() {
        Ok(array) => Ok((name.clone(), array)),
        Err(defect) => Err(Problem::Defect { array: name.clone(), defect }),
    };
    views.iter().map(array).collect()
}

/// What the file at `path` holds, and the files that it is made of.
fn tree_of(path: &Path) -> Result<(Group, Vec<Bytes>), Error> {
    let bytes = bytes_of(path)?;
    if let Some(index) = shards::index(&bytes) {
        return sharded(path, bytes, index);
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let problem = |problem| Error { file: path.to_owned(), problem };
    Ok((parse(&bytes, &stem).map_err(problem)?, vec![bytes]))
}

fn bytes_of(path: &Path) -> Result<Bytes, Error> {
    let problem = |problem| Error { file: path.to_owned(), problem };
    let file = File::open(path).map_err(|cause| problem(Problem::Read(cause)))?;
    if file.metadata().is_ok_and(|about| about.is_dir()) {
        return Err(problem(Problem::Folder));
    }
    Bytes::of_file(file).map_err(|cause| problem(Problem::Read(cause)))
}

/// What the files of the index at `path` hold together.
fn sharded(
    path: &Path,
    bytes: Bytes,
    index: BTreeMap<String, Vec<String>>,
) -> Result<(Group, Vec<Bytes>), Error> {
    let problem = |problem| Error { file: path.to_owned(), problem };
    let (mut all, mut files) = (Group::default(), vec![bytes]);
    for (name, tensors) in index {
        if !shards::is_plain(&name) {
            let what = "expected the name of a file in the same folder";
            return Err(problem(Problem::archive(&name, what)));
        }
        let shard = path.with_file_name(&name);
        let bytes = bytes_of(&shard)?;
        let parsed = parse(&bytes, &name);
        let group = parsed.map_err(|problem| Error { file: shard.clone(), problem })?;
        let there = group.names();
        if let Some(array) = tensors.into_iter().find(|tensor| !there.contains(tensor))
            && group.left.is_empty()
        {
            return Err(Error { file: shard, problem: Problem::Missing { array } });
        }
        all.left.add_all(group.left);
        all.members.extend(group.members);
        files.push(bytes);
    }
    Ok((all, files))
}

/// The tensors of `picked` under their new names, and the account of what is none.
fn views(picked: Picked, naming: &Naming) -> Result<(Views, Account), Problem> {
    let Picked { group, key, others, left } = picked;
    let views = naming.apply(group.into_views()?)?;
    if views.is_empty() {
        return Err(Problem::Empty { left });
    }
    Ok((views, Account { key, others, left, is_one_of_several: false }))
}

/// What the file `bytes` holds; a tensor without a name is called `name`.
fn parse(bytes: &Bytes, name: &str) -> Result<Group, Problem> {
    match Format::of(bytes)? {
        Format::Safetensors => safetensors::parse(bytes),
        Format::Zip => zipped::parse(bytes, name),
        Format::Npy => npy::parse(bytes, name),
        Format::Pickle => pickled(bytes, name),
    }
}

/// What a file holds that begins with a pickle: PyTorch's before 1.6 begins with a number.
fn pickled(bytes: &Bytes, name: &str) -> Result<Group, Problem> {
    let (first, rest) = Pickle::first(bytes)?;
    if stored::is_magic(&first) {
        let (pickle, storages) = stored::sequence(bytes)?;
        return walk::tree(&pickle, &storages, name);
    }
    match rest.len() {
        0 => walk::tree(&first, &stored::Storages::default(), name),
        more => Err(Problem::Trailing { bytes: more }),
    }
}

/// The formats that can be read.
#[derive(Debug, PartialEq)]
enum Format {
    /// An 8-byte length, then a JSON object.
    Safetensors,
    /// A zip archive: PyTorch's since 1.6, or NumPy's `.npz`.
    Zip,
    /// NumPy's `.npy`.
    Npy,
    /// A Python pickle of dicts and lists of arrays, protocol 0 to 5; and PyTorch's old format, pickles
    /// and storages one after the other.
    Pickle,
}

impl Format {
    fn of(bytes: &Bytes) -> Result<Format, Problem> {
        let head = bytes.head(4096).map_err(Problem::Read)?;
        match head.as_slice() {
            [] => return Err(Problem::Nothing),
            head if head.starts_with(archive::MAGIC) => return Ok(Format::Zip),
            head if head.starts_with(header::MAGIC) => return Ok(Format::Npy),
            // Before pickles: a header of 640 bytes begins as a pickle of protocol 2 does.
            head if safetensors::header_length(head).is_some() => return Ok(Format::Safetensors),
            [0x80, 2..=5, ..] => return Ok(Format::Pickle),
            _ => {}
        }
        if let Some(stranger) = stranger::named(&head) {
            return Err(stranger.into());
        }
        match (head.as_slice(), bytes.after(bytes.len() - 1).head(1)) {
            // The first protocols say nothing of themselves; every pickle ends with a point.
            ([b'(' | b']' | b'}' | b'c' | b'L', ..], Ok(last)) if last == b"." => {
                Ok(Format::Pickle)
            }
            _ => {
                let start = &head[..head.len().min(8)];
                Err(Problem::Format { start: start.escape_ascii().to_string() })
            }
        }
    }
}

/// A checkpoint that cannot be used: which file, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", file.display())]
pub struct Error {
    /// The checkpoint's file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

#[cfg(test)]
mod testing {
    use super::*;

    /// The arrays of the network in the file `bytes`; one that is alone is called `name`.
    pub(super) fn read(bytes: &[u8], name: &str) -> Result<Checkpoint, Problem> {
        checkpoint(&read_views(bytes, name)?.0)
    }

    /// The tensors of the network, and the account of the rest.
    pub(super) fn read_views(bytes: &[u8], name: &str) -> Result<(Views, Account), Problem> {
        let naming = Naming::default();
        let group = parse(&bytes.to_vec().into(), name)?;
        views(pick::pick(group, None, &naming)?, &naming)
    }

    /// Why the file `bytes` is refused.
    pub(super) fn refusal(bytes: &[u8]) -> String {
        read(bytes, "w").unwrap_err().to_string()
    }

    /// A zip archive of these parts, compressed.
    pub(super) fn zipped(parts: &[(&str, &[u8])]) -> Vec<u8> {
        use std::io::{Cursor, Write};
        use zip::write::{FileOptions, ZipWriter};
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        let options = FileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        for (name, bytes) in parts {
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{read, refusal};
    use super::*;
    use proptest::prelude::*;

    // Written by `testdata/make.py`: the same two layers by every library.
    const NET: [(&str, &[u8]); 6] = [
        ("safetensors", include_bytes!("testdata/net.safetensors")),
        ("pth", include_bytes!("testdata/net.pth")),
        ("legacy pth", include_bytes!("testdata/net-legacy.pth")),
        ("parameters", include_bytes!("testdata/net-parameters.pth")),
        ("npz", include_bytes!("testdata/net.npz")),
        ("compressed npz", include_bytes!("testdata/net-compressed.npz")),
    ];

    #[test]
    fn every_format_of_the_same_network_gives_the_same_weights() {
        let [(_, first), ..] = NET;
        let expected = read(first, "").unwrap();
        assert_eq!(expected.len(), 4);
        for (format, bytes) in NET {
            assert_eq!(read(bytes, "").unwrap(), expected, "{format}");
        }
    }

    #[test]
    fn the_signs_are_those_that_numpy_sees() {
        // testdata/make.py: b"".join(np.sign(w).astype("i1").tobytes() for w in kernels, by name)
        let signs = include_bytes!("testdata/net.signs").map(|sign| sign as i8);
        for (format, bytes) in NET {
            let kernels = read(bytes, "").unwrap().into_iter().filter(|(_, w)| w.shape().len() > 1);
            let ours: Vec<i8> = kernels
                .flat_map(|(_, array)| array.into_values())
                .map(|w| if w == 0.0 { 0 } else { w.signum() as i8 })
                .collect();
            assert_eq!(ours, signs, "{format}");
        }
    }

    proptest! {
        #[test]
        fn any_truncation_is_an_error(cut in any::<prop::sample::Index>()) {
            for (format, bytes) in NET {
                prop_assert!(read(&bytes[..cut.index(bytes.len())], "").is_err(), "{}", format);
            }
        }

        #[test]
        fn any_damage_is_read_or_refused_but_never_a_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            for (_, bytes) in NET {
                let mut bytes = bytes.to_vec();
                for (at, byte) in &damage {
                    *at.get_mut(&mut bytes) = *byte;
                }
                let _ = read(&bytes, "");
            }
        }
    }

    #[test]
    fn the_format_is_told_by_the_first_bytes() {
        let of = |head: &[u8]| Format::of(&head.to_vec().into()).unwrap();
        assert_eq!(of(b"\x80\x04\x95"), Format::Pickle);
        assert_eq!(of(b"(dp0\n."), Format::Pickle);
        assert_eq!(of(b"\x40\0\0\0\0\0\0\0{}"), Format::Safetensors);
    }

    #[test]
    fn a_safetensors_header_as_long_as_a_pickle_begins_is_no_pickle() {
        let head = |protocol: u8| [&[0x80, protocol, 0, 0, 0, 0, 0, 0][..], b"{}"].concat();
        for protocol in 2..=5 {
            assert_eq!(Format::of(&head(protocol).into()).unwrap(), Format::Safetensors);
        }
        let padded = [
            b"{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}".to_vec(),
            vec![b' '; 586],
        ];
        let header = padded.concat();
        let file =
            [&(header.len() as u64).to_le_bytes()[..], &header, &1_f32.to_le_bytes()].concat();
        assert_eq!(&file[..2], b"\x80\x02");
        assert_eq!(read(&file, "").unwrap()["w"].values(), [1.0]);
    }

    #[test]
    fn an_unknown_format_is_refused_with_its_first_bytes() {
        let unknown = refusal(b"CAFFE\r\n\x1a\n");
        assert!(unknown.contains(r"got a file that starts with `CAFFE\r\n\x1a`"), "{unknown}");
        assert!(matches!(read(b"\x80\x01", ""), Err(Problem::Format { .. })));
        assert_eq!(refusal(b""), "is empty; get the file again");
        let picture = refusal(b"\x89PNG\r\n\x1a\n");
        assert_eq!(picture, "is a picture; name a checkpoint");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("no/such.ckpt")).unwrap_err().to_string();
        assert!(error.starts_with("no/such.ckpt: cannot be read: "), "{error}");
    }

    #[test]
    fn a_checkpoint_without_an_array_is_refused() {
        let nothing = "holds no array of floating-point numbers; expected at least one";
        assert_eq!(refusal(b"\x80\x02}."), nothing);
        assert_eq!(refusal(b"\x80\x02}K\x01K\x02s."), format!("{nothing}, got 1 number"));
    }
}
