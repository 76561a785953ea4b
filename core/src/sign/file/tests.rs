//! A file that keeps every rule, and for each rule one that breaks it.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::*;
use crate::random::Stream;
use crate::sign::SignMask;

/// Eleven weights all held and three of which one is free.
fn template() -> Template {
    let mut template = Template::new("a test, made here");
    let all_held = SignMask::from_signs(&[1, -1, -1, 1, 1, -1, 1, 1, -1, 1, 1]);
    template.insert("classifier.weight", [1, 11], all_held).unwrap();
    template.insert("features.0.weight", [3], SignMask::from_signs(&[1, 0, -1])).unwrap();
    template
}

/// A file whose parts a test may change; what the test leaves alone stays right, the digest
/// included.
struct Draft {
    metadata: HashMap<String, String>,
    tensors: Vec<(&'static str, Dtype, Vec<usize>, Vec<u8>)>,
}

impl Draft {
    fn new() -> Self {
        let metadata = [
            ("format", FORMAT),
            ("shapes", r#"{"classifier.weight":[1,11],"features.0.weight":[3]}"#),
            ("source", "a test, made here"),
            ("created_by", "a test"),
        ];
        Draft {
            metadata: metadata.map(|(key, value)| (key.to_string(), value.to_string())).into(),
            tensors: vec![
                ("classifier.weight.sign", Dtype::U8, vec![2], vec![0b1101_1001, 0b110]),
                ("features.0.weight.held", Dtype::U8, vec![1], vec![0b101]),
                ("features.0.weight.sign", Dtype::U8, vec![1], vec![0b001]),
            ],
        }
    }

    fn set(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_string(), value.to_string());
        self
    }

    fn tensor(mut self, name: &'static str, bytes: &[u8]) -> Self {
        self.tensors.retain(|tensor| tensor.0 != name);
        self.tensors.push((name, Dtype::U8, vec![bytes.len()], bytes.to_vec()));
        self.tensors.sort_by_key(|tensor| tensor.0);
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.metadata.remove(name);
        self.tensors.retain(|tensor| tensor.0 != name);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut metadata = self.metadata.clone();
        metadata
            .entry("digest".to_string())
            .or_insert_with(|| digest(self.tensors.iter().map(|tensor| tensor.3.as_slice())));
        self.bytes_with(Some(metadata))
    }

    fn bytes_with(&self, metadata: Option<HashMap<String, String>>) -> Vec<u8> {
        let views = self.tensors.iter().map(|(name, dtype, shape, bytes)| {
            (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, metadata).unwrap()
    }

    /// The text of the error that reading gives, without the file's name.
    fn flaw(&self) -> String {
        flaw(&self.bytes())
    }
}

fn flaw(bytes: &[u8]) -> String {
    let error = Template::from_bytes(bytes, "t.safetensors").unwrap_err();
    error.to_string().strip_prefix("t.safetensors: ").expect("errors name the file").to_string()
}

#[test]
fn a_file_written_by_others_is_read() {
    let template = Template::from_bytes(&Draft::new().bytes(), "t.safetensors").unwrap();
    assert!(template.iter().eq(self::template().iter()));
    assert_eq!(template.source(), "a test, made here");
    assert_eq!(template.created_by(), "a test");
}

#[test]
fn what_is_written_is_read_again() {
    let template = template();
    assert_eq!(Template::from_bytes(&template.to_bytes(), "t.safetensors").unwrap(), template);
    let empty = Template::new("nothing");
    assert_eq!(Template::from_bytes(&empty.to_bytes(), "t.safetensors").unwrap(), empty);
}

#[test]
fn the_safetensors_crate_reads_what_we_write() {
    let template = template();
    let bytes = template.to_bytes();
    let (header_len, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header_len % 8, 0);
    let metadata = header.metadata().as_ref().unwrap();
    assert_eq!(metadata["format"], FORMAT);
    assert_eq!(metadata["digest"], template.digest());
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.len(), 3);
    assert_eq!(tensors.tensor("classifier.weight.sign").unwrap().data(), [0b1101_1001, 0b110]);
    assert_eq!(tensors.tensor("features.0.weight.held").unwrap().data(), [0b101]);
    assert_eq!(tensors.tensor("features.0.weight.sign").unwrap().data(), [0b001]);
}

// import hashlib
// tensors = bytes([0b11011001, 0b110, 0b101, 0b001])
// digest = hashlib.sha256(tensors).hexdigest()
// meta = {"created_by": "polarity 0.0.0", "digest": digest, "format": "polarity-template/1",
//         "shapes": '{"classifier.weight":[1,11],"features.0.weight":[3]}',
//         "source": "a test, made here"}
// seal = hashlib.sha256("".join(f"{k}={meta[k]}\n" for k in sorted(meta)).encode()).hexdigest()
#[test]
fn the_bytes_are_those_of_the_specification() {
    let template = template();
    let mut fixed =
        Template::with_provenance(template.source().to_string(), "polarity 0.0.0".to_string());
    for (name, layer) in template.iter() {
        fixed.insert(name, layer.shape.clone(), layer.mask.clone()).unwrap();
    }
    let header = concat!(
        r#"{"__metadata__":{"created_by":"polarity 0.0.0","digest":"#,
        r#""5ce6f42591d9fe16b51d0bf686bc759af734df7844b460ce2685e64a87d53511","#,
        r#""format":"polarity-template/1","seal":"#,
        r#""d9e41fd63ab450c8342860080812527401eafa3e4fb780caf3bb6649deb1eff6","#,
        r#""shapes":"{\"classifier.weight\":[1,11],\"features.0.weight\":[3]}","#,
        r#""source":"a test, made here"},"#,
        r#""classifier.weight.sign":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"#,
        r#""features.0.weight.held":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},"#,
        r#""features.0.weight.sign":{"dtype":"U8","shape":[1],"data_offsets":[3,4]}}"#,
    );
    let padded = format!("{header:width$}", width = header.len().next_multiple_of(8));
    let mut expected = (padded.len() as u64).to_le_bytes().to_vec();
    expected.extend_from_slice(padded.as_bytes());
    expected.extend_from_slice(&[0b1101_1001, 0b110, 0b101, 0b001]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&fixed.to_bytes()), text(&expected));
    assert_eq!(fixed.to_bytes(), expected);
}

#[test]
fn a_big_layer_takes_one_bit_a_weight_and_at_most_one_percent_more() {
    let weights = 1_000_003;
    let mut template = Template::new("a test");
    let mask = SignMask::random(weights, 0.5, &mut Stream::new(0, "test"));
    template.insert("weight", [weights], mask).unwrap();
    let bytes = template.to_bytes().len();
    assert!(bytes as f64 <= 1.01 * weights as f64 / 8.0, "{bytes} bytes");
}

#[test]
fn a_saved_template_is_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.safetensors");
    template().save(&path).unwrap();
    assert_eq!(Template::load(&path).unwrap(), template());
    assert_eq!(fs::read(&path).unwrap(), template().to_bytes());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.safetensors");
    let error = Template::load(&path).unwrap_err();
    assert_eq!(error.to_string(), format!("{}: there is no such file", path.display()));
    assert!(matches!(Template::load(folder.path()).unwrap_err().flaw(), Flaw::Unreadable(_)));
}

#[test]
fn a_folder_that_is_not_there_cannot_be_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let error = template().save(folder.path().join("missing/t.safetensors")).unwrap_err();
    assert!(matches!(error.flaw(), Flaw::Unwritable(_)), "{error}");
    assert!(error.to_string().contains("missing/t.safetensors: cannot be written: "), "{error}");
}

#[test]
fn rule_1_trailing_bytes_are_refused() {
    let mut bytes = Draft::new().bytes();
    bytes.push(0);
    assert!(flaw(&bytes).starts_with("no whole safetensors file: "), "{}", flaw(&bytes));
}

#[test]
fn rule_2_a_missing_key_is_named() {
    for key in ["format", "shapes", "source", "created_by"] {
        let flaw = Draft::new().without(key).flaw();
        assert!(
            flaw.starts_with(&format!("metadata `{key}`: missing; expected format, ")),
            "{flaw}"
        );
    }
    let draft = Draft::new();
    let without_digest = flaw(&draft.bytes_with(Some(draft.metadata.clone())));
    assert!(without_digest.starts_with("metadata `digest`: missing"), "{without_digest}");
    let checkpoint = flaw(&draft.bytes_with(None));
    assert!(checkpoint.ends_with("with `polarity template extract`"), "{checkpoint}");
}

#[test]
fn rule_2_an_unknown_key_is_named() {
    let flaw = Draft::new().set("shape", "{}").flaw();
    assert!(flaw.starts_with("metadata `shape`: unknown; expected format, shapes"), "{flaw}");
}

#[test]
fn rule_3_another_format_version_is_refused() {
    let flaw = Draft::new().set("format", "polarity-template/2").set("new", "").flaw();
    assert!(
        flaw.starts_with(
            "metadata `format`: expected `polarity-template/1`, got `polarity-template/2`"
        ),
        "{flaw}"
    );
}

#[test]
fn rule_4_shapes_that_are_no_object_of_lists_are_refused() {
    for shapes in ["", "[]", r#"{"a":3}"#, r#"{"a":[-1]}"#, r#"{"a":[1.5]}"#, "{} {}"] {
        let flaw = Draft::new().set("shapes", shapes).flaw();
        assert!(flaw.starts_with("metadata `shapes`: expected a JSON object"), "{shapes}: {flaw}");
    }
}

#[test]
fn rule_4_a_name_with_two_shapes_is_refused() {
    let shapes = r#"{"classifier.weight":[11],"features.0.weight":[3],"classifier.weight":[1,11]}"#;
    let flaw = Draft::new().set("shapes", shapes).flaw();
    assert!(flaw.contains("`classifier.weight` is there twice"), "{flaw}");
}

#[test]
fn rule_5_a_shape_that_overflows_is_refused() {
    let shapes = r#"{"classifier.weight":[4294967296,4294967296],"features.0.weight":[3]}"#;
    let flaw = Draft::new().set("shapes", shapes).flaw();
    assert_eq!(
        flaw,
        "classifier.weight: expected a shape with fewer than 2^64 weights, got [4294967296, \
         4294967296]"
    );
}

#[test]
fn rule_6_a_shape_without_signs_is_refused() {
    let flaw = Draft::new().without("classifier.weight.sign").flaw();
    assert_eq!(
        flaw,
        "classifier.weight: has a shape but no signs; expected a tensor `classifier.weight.sign`"
    );
}

#[test]
fn rule_6_signs_without_a_shape_are_refused() {
    let flaw = Draft::new().set("shapes", r#"{"features.0.weight":[3]}"#).flaw();
    assert_eq!(
        flaw,
        "classifier.weight.sign: has no shape; expected `classifier.weight` in the metadata `shapes`"
    );
}

#[test]
fn rule_7_held_bits_without_signs_are_refused() {
    let flaw = Draft::new().without("features.0.weight.sign").flaw();
    assert_eq!(
        flaw,
        "features.0.weight.held: has no signs; expected a tensor `features.0.weight.sign`"
    );
}

#[test]
fn rule_8_held_bits_that_are_all_ones_are_refused() {
    let flaw = Draft::new().tensor("features.0.weight.held", &[0b111]).flaw();
    assert_eq!(flaw, "features.0.weight.held: all weights are held; expected no such tensor then");
}

#[test]
fn rule_9_any_other_tensor_is_refused() {
    for tensor in ["features.0.weight", "sign", "features.0.weight.Sign"] {
        let flaw = Draft::new().tensor(tensor, &[0]).flaw();
        assert!(flaw.starts_with(&format!("{tensor}: unknown tensor; expected")), "{flaw}");
    }
}

#[test]
fn rule_10_another_type_is_refused() {
    let mut draft = Draft::new();
    draft.tensors[0].1 = Dtype::I8;
    assert_eq!(draft.flaw(), "classifier.weight.sign: expected type U8, got I8");
}

#[test]
fn rule_11_a_wrong_length_is_refused() {
    for bytes in [&[1][..], &[1, 1, 0], &[]] {
        let flaw = Draft::new().tensor("classifier.weight.sign", bytes).flaw();
        let got = bytes.len();
        assert_eq!(
            flaw,
            format!("classifier.weight.sign: expected shape [2] for 11 weights, got [{got}]")
        );
    }
    let mut draft = Draft::new();
    draft.tensors[0].2 = vec![1, 2];
    assert_eq!(
        draft.flaw(),
        "classifier.weight.sign: expected shape [2] for 11 weights, got [1, 2]"
    );
}

#[test]
fn rule_12_set_padding_bits_are_refused() {
    let flaw = Draft::new().tensor("classifier.weight.sign", &[0, 0b0100_0001]).flaw();
    assert_eq!(
        flaw,
        "classifier.weight.sign: expected 0 in the unused bits of the last byte, got `0b01000000`"
    );
    let flaw = Draft::new().tensor("features.0.weight.held", &[0b1101]).flaw();
    assert!(flaw.starts_with("features.0.weight.held: expected 0 in the unused bits"), "{flaw}");
}

#[test]
fn rule_13_a_sign_on_a_free_weight_is_refused() {
    let flaw = Draft::new().tensor("features.0.weight.sign", &[0b010]).flaw();
    assert_eq!(
        flaw,
        "features.0.weight.sign: expected sign bit 0 for weight 1, which is free, got 1"
    );
}

#[test]
fn rule_14_a_wrong_digest_is_refused() {
    let flaw = Draft::new().set("digest", "00").flaw();
    let got = template().digest();
    assert!(
        flaw.starts_with(&format!(
            "metadata `digest`: expected `00`, got `{got}` from the tensors"
        )),
        "{flaw}"
    );
}

#[test]
fn rule_15_a_broken_seal_is_refused() {
    let mut bytes = template().to_bytes();
    let here = bytes.windows(4).position(|text| text == b"here").unwrap();
    bytes[here..here + 4].copy_from_slice(b"away");
    let flaw = flaw(&bytes);
    assert!(flaw.starts_with("metadata `seal`: expected `"), "{flaw}");
}

#[test]
fn every_truncation_is_an_error() {
    let bytes = template().to_bytes();
    for len in 0..bytes.len() {
        assert!(Template::from_bytes(&bytes[..len], "t").is_err(), "the first {len} bytes");
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    let mut bytes = template().to_bytes();
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Template::from_bytes(&bytes, "t").is_err(), "bit {} of byte {}", bit % 8, bit / 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

fn templates() -> impl Strategy<Value = Template> {
    let sizes = vec(0..12_usize, 0..4);
    vec(("[a-c.é\"]{0,4}", sizes, any::<u64>(), any::<bool>()), 0..5).prop_map(|layers| {
        let mut template = Template::new("a \"property\"\n");
        for (name, shape, seed, all_held) in layers {
            let mut stream = Stream::new(seed, "test");
            let len = shape.iter().product();
            let kinds = if all_held { 2 } else { 3 };
            let signs: Vec<i8> = (0..len).map(|_| [1, -1, 0][stream.below(kinds)]).collect();
            // A name that was drawn twice keeps its first layer.
            let _ = template.insert(name, shape, SignMask::from_signs(&signs));
        }
        template
    })
}

proptest! {
    #[test]
    fn any_template_is_read_as_it_was_written(template in templates()) {
        let bytes = template.to_bytes();
        prop_assert_eq!(Template::from_bytes(&bytes, "t").unwrap(), template.clone());
        prop_assert_eq!(template.to_bytes(), bytes);
    }

    #[test]
    fn any_damaged_file_is_an_error(
        template in templates(), place in any::<prop::sample::Index>(), bit in 0..8_u32,
    ) {
        let mut bytes = template.to_bytes();
        let place = place.index(bytes.len());
        prop_assert!(Template::from_bytes(&bytes[..place], "t").is_err());
        bytes[place] ^= 1_u8 << bit;
        prop_assert!(Template::from_bytes(&bytes, "t").is_err());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Template::from_bytes(&bytes, "t");
    }
}
