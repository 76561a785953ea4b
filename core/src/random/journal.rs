//! Which streams a piece of work draws from: what two runs share, and what they do not, can be seen and
//! need not be believed.

use std::cell::RefCell;

thread_local! {
    /// The streams opened since somebody began to listen; none while nobody does.
    static JOURNAL: RefCell<Option<Vec<Opened>>> = const { RefCell::new(None) };
}

/// A stream that was opened, by what it is made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opened {
    /// Its seed.
    pub seed: u64,
    /// Its purpose.
    pub purpose: String,
}

/// What `work` gives back, and the streams that it opened on this thread, in their order.
///
/// # Examples
/// ```
/// use polarity_core::random::{Stream, opened_by};
///
/// let (number, opened) = opened_by(|| Stream::new(7, "order").bits());
/// assert_eq!(number, Stream::new(7, "order").bits());
/// assert_eq!((opened[0].seed, opened[0].purpose.as_str()), (7, "order"));
/// ```
pub fn opened_by<T>(work: impl FnOnce() -> T) -> (T, Vec<Opened>) {
    let around = JOURNAL.replace(Some(Vec::new()));
    let made = work();
    let opened = JOURNAL.replace(around).unwrap_or_default();
    opened.iter().for_each(|stream| note(stream.seed, &stream.purpose));
    (made, opened)
}

/// Notes a stream where somebody listens.
pub(super) fn note(seed: u64, purpose: &str) {
    JOURNAL.with_borrow_mut(|journal| {
        if let Some(opened) = journal {
            opened.push(Opened { seed, purpose: purpose.to_owned() });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::super::Stream;
    use super::*;

    fn purposes(opened: &[Opened]) -> Vec<&str> {
        opened.iter().map(|stream| stream.purpose.as_str()).collect()
    }

    #[test]
    fn work_within_work_is_heard_by_both() {
        let (inner, outer) = opened_by(|| {
            Stream::new(0, "before");
            let ((), inner) = opened_by(|| drop(Stream::new(1, "within")));
            Stream::new(0, "after");
            inner
        });
        assert_eq!(purposes(&inner), ["within"]);
        assert_eq!(purposes(&outer), ["before", "within", "after"]);
    }

    #[test]
    fn nothing_is_noted_when_nobody_listens() {
        Stream::new(0, "unheard");
        assert!(opened_by(|| ()).1.is_empty());
    }
}
