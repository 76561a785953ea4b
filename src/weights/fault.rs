//! What can be wrong with a pickle.

/// The most values, places on the stack and numbered values together; a checkpoint of a thousand
/// arrays has some ten thousand, and a file of instructions only cannot ask for more memory.
pub(super) const MOST: usize = 1 << 22;

/// Why a pickle cannot be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The file ends inside an instruction, or before the last one.
    #[error("the file ends too early; expected {0} more bytes")]
    End(u64),
    /// There is something after the last instruction.
    #[error("expected the end of the file, got {0} more bytes")]
    Trailing(usize),
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
    /// An integer above 64 bits.
    #[error("an integer of {0} bytes; expected at most 8")]
    Integer(u64),
}
