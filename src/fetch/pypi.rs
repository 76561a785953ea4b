//! The archive of a Python source package, from the index that pip is set to use.
//!
//! pip itself cannot be asked for it: `pip download` unpacks a source package and runs its `setup.py` to
//! learn its metadata. So the archive is taken as the file that it is, checked, and never unpacked
//! (`archive.rs`).

use std::path::{Path, PathBuf};

use super::download::{self, Agent};
use super::index::{self, Index};
use crate::digest::sha256_of_file;

/// The most bytes of a package.
const MOST: u64 = 1 << 30;

/// The archive of `package` with the given SHA-256, in `scratch`.
pub(super) fn archive(package: &str, sha256: &str, scratch: &Path) -> Result<PathBuf, String> {
    archive_from(&Index::of_pip(), package, sha256, scratch)
}

/// The same from `index`.
pub(super) fn archive_from(
    index: &Index,
    package: &str,
    sha256: &str,
    scratch: &Path,
) -> Result<PathBuf, String> {
    let agent = Agent::trusting(index.certificates.as_deref())?;
    let page = index.page(package);
    let text = agent.text(&page, "application/vnd.pypi.simple.v1+json, text/html;q=0.5")?;
    let link = index::link(&text, sha256, &page)
        .ok_or_else(|| format!("the index has no file with sha256 {sha256}"))?;
    let archive = scratch.join("package.tar.gz");
    download::download(&agent, &link, &archive, MOST, &mut |_| {})?;
    let got = sha256_of_file(&archive).map_err(|error| error.to_string())?;
    match got == sha256 {
        true => Ok(archive),
        false => Err(format!("expected an archive with sha256 {sha256}, got {got}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::digest::sha256;
    use crate::fetch::archive;
    use crate::fetch::tests::server::{answer, serve};

    fn index(url: &str) -> Index {
        Index { url: format!("{url}simple"), certificates: None }
    }

    /// A source package that would leave a file behind if it were asked for its metadata.
    fn package(mark: &Path) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let setup = format!("open({:?}, 'w').write('ran')\n", mark.display().to_string());
        for (name, text) in [("p-1.0/setup.py", setup.as_str()), ("p-1.0/p/weights", "abc")] {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, name, text.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn ok(body: &str) -> Vec<u8> {
        answer(&format!("200 OK\r\nContent-Length: {}", body.len()), body)
    }

    #[test]
    fn a_package_gives_its_data_and_its_code_is_never_run() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let bytes = String::from_utf8(package(&mark)).unwrap();
        let digest = sha256(bytes.as_bytes());
        let page = format!("<a href=\"/files/p-1.0.tar.gz#sha256={digest}\">p</a>");
        let (base, server) = serve(vec![ok(&page), ok(&bytes)]);
        let found = archive_from(&index(&base), "P", &digest, folder.path()).unwrap();
        let requests = server.join().unwrap();
        assert!(requests[0].starts_with("get /simple/p/ "), "{requests:?}");
        assert!(requests[1].starts_with("get /files/p-1.0.tar.gz "), "{requests:?}");
        let into = folder.path().join("into");
        assert!(archive::take(fs::File::open(found).unwrap(), "p/weights", 9, &into).unwrap());
        assert_eq!(fs::read_to_string(into).unwrap(), "abc");
        assert!(!mark.exists());
    }

    #[test]
    fn an_archive_with_another_digest_is_refused_with_both() {
        let folder = tempfile::tempdir().unwrap();
        let digest = sha256(b"abc");
        let page = format!("<a href=\"/p.tar.gz#sha256={digest}\">p</a>");
        let (base, _server) = serve(vec![ok(&page), ok("abd")]);
        let refused = archive_from(&index(&base), "p", &digest, folder.path()).unwrap_err();
        assert!(refused.starts_with(&format!("expected an archive with sha256 {digest}, got ")));
        let (base, _server) = serve(vec![ok("<html>")]);
        let refused = archive_from(&index(&base), "p", &digest, folder.path()).unwrap_err();
        assert_eq!(refused, format!("the index has no file with sha256 {digest}"));
    }
}
