//! Rules: templates where there is no source to take signs from.

use polarity_core::sign::{self, Pattern, Rule, RuleError, RuleTensor, Ruled};
use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::template::Template;

/// An ordered map from patterns of names to rules.
#[pyclass(frozen, module = "polarity_torch._core")]
pub(crate) struct Rules(sign::Rules);

/// Name, shape, and, for those that [`Rules::looks_at`], the signs as int8 with 2 for NaN.
type Tensor<'py> = (String, Vec<usize>, Option<Bound<'py, PyBytes>>);

/// Name, pattern and rule that decided it, weights, held ones, positive ones.
type Report = (String, Option<(String, String)>, usize, usize, usize);

#[pymethods]
impl Rules {
    /// The rules of a JSON object.
    #[new]
    fn new(json: &str) -> PyResult<Self> {
        serde_json::from_str(json).map(Rules).map_err(|error| {
            // Where in the text it is says nothing to who wrote a dict.
            let text = error.to_string();
            let said = text.split(" at line ").next().unwrap_or_default();
            PyValueError::new_err(format!("rules: {said}"))
        })
    }

    /// Whether the rule for the tensor `name` needs its weights.
    fn looks_at(&self, name: &str) -> bool {
        matches!(self.0.decide(name), Some((_, Rule::Own)))
    }

    /// The template of a network with these tensors, and what decided each.
    fn template(
        &self,
        tensors: Vec<Tensor<'_>>,
        origin: &str,
    ) -> PyResult<(Template, Vec<Report>)> {
        let weights: Vec<_> =
            tensors.iter().map(|(.., signs)| signs.as_ref().map(|signs| floats(signs))).collect();
        let tensors = tensors.iter().zip(&weights).map(|((name, shape, _), weights)| RuleTensor {
            name,
            shape,
            weights: weights.as_deref(),
        });
        let (template, report) = self.0.template(tensors, origin).map_err(rule_error)?;
        Ok((Template::from(template), report.tensors.into_iter().map(said).collect()))
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }
}

/// Which of `names` a pattern matches.
#[pyfunction]
pub(crate) fn matching(pattern: &str, names: Vec<String>) -> Vec<String> {
    let pattern = Pattern::new(pattern);
    names.into_iter().filter(|name| pattern.matches(name)).collect()
}

fn floats(signs: &Bound<'_, PyBytes>) -> Vec<f32> {
    let float = |&byte: &u8| match byte as i8 {
        2 => f32::NAN,
        sign => f32::from(sign),
    };
    signs.as_bytes().iter().map(float).collect()
}

fn said(Ruled { name, decided, weights, held, positive }: Ruled) -> Report {
    (name, decided.map(|(pattern, rule)| (pattern.to_string(), rule)), weights, held, positive)
}

fn rule_error(error: RuleError) -> PyErr {
    let text = error.to_string();
    match error {
        RuleError::UnknownPattern { .. } => PyKeyError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}
