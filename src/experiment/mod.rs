//! Experiments: a YAML file becomes a checked plan, the plan becomes cells, the cells become tables.

pub mod table;
