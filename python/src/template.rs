//! Templates: files, and what is derived from them.

use std::path::PathBuf;

use polarity_core::sign::{
    self, Agreement, FileError, Flaw, Shuffle, SignMask, TemplateError, builtin as shipped,
};
use pyo3::exceptions::{PyFileNotFoundError, PyKeyError, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::signs::Signs;

/// The sign masks of a network by the names of its weights, and where they came from.
#[pyclass(frozen, module = "polarity_torch._core")]
pub(crate) struct Template(sign::Template);

impl From<sign::Template> for Template {
    fn from(template: sign::Template) -> Self {
        Template(template)
    }
}

/// Name, shape, weights, held ones, positive ones.
type Summary = (String, Vec<usize>, usize, usize, usize);

/// A layer's share of equal signs; none where nothing is held by both.
type Share = (String, Option<f64>);

#[pymethods]
impl Template {
    /// The built-in template of this name, or the template file at this path.
    #[staticmethod]
    fn open(py: Python<'_>, name_or_path: &str) -> PyResult<Self> {
        py.detach(|| sign::Template::open(name_or_path)).map(Template).map_err(file_error)
    }

    /// The template whose file has these bytes; `origin` names it in errors.
    #[staticmethod]
    fn from_bytes(bytes: &[u8], origin: &str) -> PyResult<Self> {
        sign::Template::from_bytes(bytes, origin).map(Template).map_err(file_error)
    }

    /// The template of these layers: name, shape, entries as int8 in row-major order.
    #[staticmethod]
    fn of_layers(
        source: &str,
        layers: Vec<(String, Vec<usize>, Bound<'_, PyBytes>)>,
    ) -> PyResult<Self> {
        let mut template = sign::Template::new(source);
        for (name, shape, entries) in layers {
            let signs: Vec<i8> = entries.as_bytes().iter().map(|&byte| byte as i8).collect();
            template.insert(name, shape, SignMask::from_signs(&signs)).map_err(value_error)?;
        }
        Ok(Template(template))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.0.save(path)).map_err(file_error)
    }

    fn digest(&self, py: Python<'_>) -> String {
        py.detach(|| self.0.digest())
    }

    fn source(&self) -> &str {
        self.0.source()
    }

    fn created_by(&self) -> &str {
        self.0.created_by()
    }

    fn layers(&self) -> Vec<Summary> {
        let summary = |(name, layer): (&str, &sign::Layer)| {
            let sign::Layer { shape, mask } = layer;
            (name.into(), shape.clone(), mask.len(), mask.held_count(), mask.positive_count())
        };
        self.0.iter().map(summary).collect()
    }

    /// The signs of one layer.
    fn signs(&self, name: &str) -> PyResult<Signs> {
        match self.0.get(name) {
            Some(layer) => Ok(Signs::new(&layer.shape, &layer.mask)),
            None => Err(PyKeyError::new_err(name.to_owned())),
        }
    }

    fn shuffled(&self, py: Python<'_>, within: &str, seed: u64) -> PyResult<Self> {
        let within = match within {
            "tensor" => Shuffle::Tensor,
            "filter" => Shuffle::Filter,
            other => {
                let text = format!("within: expected `tensor` or `filter`, got `{other}`");
                return Err(PyValueError::new_err(text));
            }
        };
        Ok(Template(py.detach(|| self.0.shuffled(within, seed))))
    }

    fn flipped(&self, py: Python<'_>, fraction: f64, seed: u64) -> PyResult<Self> {
        in_unit_interval("fraction", fraction)?;
        Ok(Template(py.detach(|| self.0.flipped(fraction, seed))))
    }

    fn opposite(&self) -> Self {
        Template(self.0.opposite())
    }

    fn random_like(&self, py: Python<'_>, positive: Option<f64>, seed: u64) -> PyResult<Self> {
        if let Some(positive) = positive {
            in_unit_interval("positive", positive)?;
        }
        Ok(Template(py.detach(|| self.0.random_like(positive, seed))))
    }

    fn subset(&self, prefixes: Vec<String>) -> PyResult<Self> {
        self.0.subset_by_prefixes(&prefixes).map(Template).map_err(|error| match error {
            TemplateError::UnknownPrefix { .. } => PyKeyError::new_err(error.to_string()),
            _ => value_error(error),
        })
    }

    fn filled_from(&self, other: &Template) -> PyResult<Self> {
        self.0.filled_from(&other.0).map(Template).map_err(value_error)
    }

    /// Each layer's share of equal signs, and that of all.
    fn agreement(&self, other: &Template) -> PyResult<(Vec<Share>, Option<f64>)> {
        let Agreement { layers, overall } = self.0.agreement(&other.0).map_err(value_error)?;
        Ok((layers, overall))
    }

    fn __eq__(&self, other: &Template) -> bool {
        self.0 == other.0
    }
}

/// The names of the templates that ship with the package.
#[pyfunction]
pub(crate) fn builtin() -> Vec<&'static str> {
    shipped::names().collect()
}

fn in_unit_interval(what: &str, value: f64) -> PyResult<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{what}: expected a number in [0, 1], got `{value}`")))
}

fn value_error(error: TemplateError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn file_error(error: FileError) -> PyErr {
    let text = error.to_string();
    match error.flaw() {
        Flaw::NotFound | Flaw::Unknown { .. } => PyFileNotFoundError::new_err(text),
        Flaw::Unreadable(_) | Flaw::Unwritable(_) => PyOSError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}
