//! What can be wrong with a pickle.

use std::io;

/// The most values, places on the stack and numbered values together; a checkpoint of a thousand
/// arrays has some ten thousand, a long history of losses some millions, and a file of instructions
/// only cannot ask for more memory.
pub(super) const MOST: usize = 1 << 24;

/// Why a pickle cannot be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The file ends inside an instruction, or before the last one.
    #[error("the file ends too early; expected {0} more bytes; get it again")]
    End(u64),
    /// The disk failed.
    #[error("cannot be read: {0}")]
    Read(String),
    /// There is something after the last instruction.
    #[error("expected the end of the file, got {0} more bytes")]
    Trailing(u64),
    /// An instruction that checkpoints of arrays do not need, or that does not exist.
    #[error("instruction `{}` is not read", char::from(*.0).escape_default())]
    Instruction(u8),
    /// An instruction takes more values than there are.
    #[error("an instruction takes a value from an empty stack")]
    Underflow,
    /// An instruction takes a value of another kind.
    #[error("expected {expected}, got {got}")]
    Kind {
        /// The kind that it takes.
        expected: &'static str,
        /// The value that is there.
        got: String,
    },
    /// A reference to a value that was never numbered.
    #[error("reference to value {0}, which does not exist")]
    Memo(u64),
    /// Text is not UTF-8.
    #[error("text is not UTF-8")]
    Text,
    /// A dict with a key and no value.
    #[error("a dict's last key has no value")]
    Odd,
    /// More values than a checkpoint has.
    #[error("more than {MOST} values; expected a checkpoint of arrays")]
    Crowded,
    /// The same texts and lists over and over.
    #[error("the same values are copied over and over; expected a checkpoint of arrays")]
    Copies,
    /// A number that is written in letters and is none, or a text without its quotes.
    #[error("expected a number or a text in quotes, as Python 2 writes them")]
    Literal,
}

impl Fault {
    pub(super) fn unread(error: io::Error) -> Self {
        Fault::Read(error.to_string())
    }
}
