//! Addresses that may be used as slices of floats, and why others may not.
//!
//! The rules of Rust's references are checked before any is made: memory is there, aligned, of a length
//! that can be counted, and nobody writes what another reads or writes. That an address belongs to a
//! living tensor of that length is what Python must see to.

use std::fmt;

use pyo3::PyErr;

pyo3::create_exception!(
    polarity_torch._core,
    Refused,
    pyo3::exceptions::PyValueError,
    "Memory that cannot be worked on: (row, part, what is wrong with it)."
);

/// A slice of floats as Python hands it over.
#[derive(Clone, Copy)]
pub(crate) struct Floats {
    address: usize,
    length: usize,
}

/// Part of a tensor's row in an error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which tensor, counted over all groups.
    pub(crate) row: usize,
    /// Which of its slices.
    pub(crate) part: &'static str,
}

/// Why memory is refused.
pub(crate) struct Refusal {
    place: Place,
    problem: Problem,
}

pub(crate) enum Problem {
    Null,
    Misaligned,
    TooLong,
    Overlaps(Place),
    WrongMask { signs: usize, weights: usize },
}

impl Floats {
    pub(crate) fn new(address: usize, length: usize) -> Self {
        // An empty tensor has no address.
        let address = if length == 0 { std::ptr::dangling::<f32>().addr() } else { address };
        Floats { address, length }
    }

    /// # Safety
    /// `Claims::check` has accepted the slice as one that is read, its memory lives for `'a`, and nobody
    /// else writes it meanwhile.
    pub(crate) unsafe fn read<'a>(self) -> &'a [f32] {
        let start = std::ptr::with_exposed_provenance(self.address);
        // SAFETY: not null, aligned and of a length that can be counted, by the check; the rest is the
        // caller's.
        unsafe { std::slice::from_raw_parts(start, self.length) }
    }

    /// # Safety
    /// `Claims::check` has accepted the slice as one that is written, its memory lives for `'a`, nobody
    /// else uses it meanwhile, and this is called once.
    pub(crate) unsafe fn write<'a>(self) -> &'a mut [f32] {
        let start = std::ptr::with_exposed_provenance_mut(self.address);
        // SAFETY: as in `read`; no other slice overlaps it, by the check.
        unsafe { std::slice::from_raw_parts_mut(start, self.length) }
    }
}

/// All slices of a step.
#[derive(Default)]
pub(crate) struct Claims(Vec<Claim>);

struct Claim {
    start: usize,
    end: usize,
    writes: bool,
    place: Place,
}

impl Claims {
    /// # Errors
    /// When no slice can begin there or be as long.
    pub(crate) fn read(&mut self, place: Place, slice: Floats) -> Result<(), Refusal> {
        self.claim(place, slice, false)
    }

    /// # Errors
    /// When no slice can begin there or be as long.
    pub(crate) fn write(&mut self, place: Place, slice: Floats) -> Result<(), Refusal> {
        self.claim(place, slice, true)
    }

    fn claim(
        &mut self,
        place: Place,
        Floats { address: start, length }: Floats,
        writes: bool,
    ) -> Result<(), Refusal> {
        let refused = |problem| Err(Refusal { place, problem });
        if start == 0 {
            return refused(Problem::Null);
        }
        if !start.is_multiple_of(align_of::<f32>()) {
            return refused(Problem::Misaligned);
        }
        let bytes =
            length.checked_mul(size_of::<f32>()).filter(|&bytes| bytes <= isize::MAX as usize);
        let Some(end) = bytes.and_then(|bytes| start.checked_add(bytes)) else {
            return refused(Problem::TooLong);
        };
        if length > 0 {
            self.0.push(Claim { start, end, writes, place });
        }
        Ok(())
    }

    /// # Errors
    /// When a slice that is written overlaps another.
    pub(crate) fn check(mut self) -> Result<(), Refusal> {
        self.0.sort_unstable_by_key(|claim| claim.start);
        // Of all before, and of those that write: the one that reaches furthest.
        let (mut any, mut writer): (Option<&Claim>, Option<&Claim>) = (None, None);
        for claim in &self.0 {
            let before = if claim.writes { any } else { writer };
            if let Some(other) = before.filter(|other| other.end > claim.start) {
                return Err(Refusal {
                    place: claim.place,
                    problem: Problem::Overlaps(other.place),
                });
            }
            let further = |other: Option<&Claim>| other.is_none_or(|other| other.end < claim.end);
            if further(any) {
                any = Some(claim);
            }
            if claim.writes && further(writer) {
                writer = Some(claim);
            }
        }
        Ok(())
    }
}

impl Refusal {
    pub(crate) fn new(place: Place, problem: Problem) -> Self {
        Refusal { place, problem }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Null => write!(out, "has no memory"),
            Problem::Misaligned => write!(out, "does not begin at a multiple of 4 bytes"),
            Problem::TooLong => write!(out, "is longer than memory can be"),
            // Python knows the tensors' names.
            Problem::Overlaps(other) => {
                write!(out, "shares memory with {} {}", other.part, other.row)
            }
            Problem::WrongMask { signs, weights } => {
                write!(out, "{signs} signs for {weights} weights")
            }
        }
    }
}

impl From<Refusal> for PyErr {
    fn from(Refusal { place, problem }: Refusal) -> PyErr {
        let other = match problem {
            Problem::Overlaps(other) => Some((other.row, other.part)),
            _ => None,
        };
        Refused::new_err((place.row, place.part, problem.to_string(), other))
    }
}
