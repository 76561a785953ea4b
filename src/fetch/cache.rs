//! Where the cache is.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The cache folder: `$POLARITY_CACHE`, else `$XDG_CACHE_HOME/polarity`, else `~/.cache/polarity`.
///
/// # Errors
/// When none of the variables `POLARITY_CACHE`, `XDG_CACHE_HOME` and `HOME` is set.
pub fn cache_dir() -> Result<PathBuf, NoCache> {
    cache_dir_from(|variable| env::var_os(variable).filter(|value| !value.is_empty()))
}

fn cache_dir_from(get: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf, NoCache> {
    if let Some(cache) = get("POLARITY_CACHE") {
        return Ok(cache.into());
    }
    // The XDG specification has relative paths ignored.
    if let Some(caches) = get("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute())
    {
        return Ok(caches.join("polarity"));
    }
    let home = get("HOME").ok_or(NoCache)?;
    Ok(PathBuf::from(home).join(".cache/polarity"))
}

/// There is no place for a cache.
#[derive(Debug, thiserror::Error)]
#[error("no place for the cache: none of POLARITY_CACHE, XDG_CACHE_HOME and HOME is set; set one")]
pub struct NoCache;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_first_variable_says() {
        let cache = |set: &[(&str, &str)]| {
            let get = |name: &str| {
                set.iter().find(|(set, _)| *set == name).map(|(_, value)| OsString::from(value))
            };
            cache_dir_from(get).map(|path| path.display().to_string()).ok()
        };
        let home = ("HOME", "/home/u");
        let xdg = ("XDG_CACHE_HOME", "/xdg");
        assert_eq!(cache(&[home, xdg, ("POLARITY_CACHE", "c")]).as_deref(), Some("c"));
        assert_eq!(cache(&[home, xdg]).as_deref(), Some("/xdg/polarity"));
        assert_eq!(cache(&[home]).as_deref(), Some("/home/u/.cache/polarity"));
        let relative = ("XDG_CACHE_HOME", "x");
        assert_eq!(cache(&[home, relative]).as_deref(), Some("/home/u/.cache/polarity"));
        assert_eq!(cache(&[]), None);
    }
}
