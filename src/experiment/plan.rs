//! An experiment with its data at hand: everything it will compute, before anything is trained.
//!
//! Making a plan reads the data and the sources, and creates nothing. Only a plan can be run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::json;
use tch::Device;

use super::cell::{Cell, RESULTS_VERSION};
use super::checked::Checked;
use super::file::Experiment;
use super::problem::Mistakes;
use super::study::{self, Ground, Opened, Place, device_name};
use crate::results::claim;

/// A checked experiment with its data.
#[derive(Debug)]
pub struct Plan {
    checked: Checked,
    device: Device,
    pub(crate) cells: Vec<Cell>,
    pub(crate) firsts: Vec<Cell>,
    pub(crate) ground: Box<dyn Ground>,
    manifest: Facts,
    notes: Vec<String>,
}

/// What the manifest says beside the experiment.
#[derive(Debug)]
struct Facts {
    data_digest: Option<String>,
    source_digests: IndexMap<String, String>,
    classes: usize,
}

impl Plan {
    /// Lays out the cells of `checked`, read from `file`, for `device`; data are looked for in `cache`.
    ///
    /// # Errors
    /// Everything in data and sources that is missing or does not fit.
    pub fn new(
        checked: Checked,
        file: &Path,
        device: Device,
        cache: &Path,
    ) -> Result<Self, Mistakes> {
        let opened = study::kind(checked.experiment()).open(&checked, &Place { device, cache });
        let opened = opened.map_err(|problems| problems.of(file))?;
        let Opened { cells, firsts, ground, data_digest, source_digests, notes, classes } = opened;
        let manifest = Facts { data_digest, source_digests, classes };
        Ok(Plan { checked, device, cells, firsts, ground, manifest, notes })
    }

    /// What of the files of its data and sources was not taken, a sentence each, behind their key.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The experiment as it is written, defaults filled in.
    pub fn experiment(&self) -> &Experiment {
        self.checked.experiment()
    }

    /// The training runs of the arms, in the order of the tables.
    pub fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// The sources that are trained first.
    pub fn sources(&self) -> &[Cell] {
        &self.firsts
    }

    /// All cells, the sources that are trained first among them.
    pub fn all_cells(&self) -> impl Iterator<Item = &Cell> {
        self.firsts.iter().chain(&self.cells)
    }

    /// The folder of the results.
    pub fn results(&self) -> PathBuf {
        self.experiment().results_folder()
    }

    /// How many cells run at once on `threads` threads.
    pub fn workers(&self, threads: usize) -> usize {
        (self.threads(threads) / self.experiment().train.threads).max(1)
    }

    /// How many of `threads` threads cells share; a GPU runs one cell at a time.
    pub(crate) fn threads(&self, threads: usize) -> usize {
        if self.device == Device::Cpu { threads } else { 1 }
    }

    /// `cpu` or `cuda`, where its cells are computed.
    pub fn device(&self) -> &'static str {
        device_name(self.device)
    }

    /// What tells its data and its sources from every other, as the manifest says it.
    pub(crate) fn digests(&self) -> (Option<&str>, &IndexMap<String, String>) {
        (self.manifest.data_digest.as_deref(), &self.manifest.source_digests)
    }

    /// Names of the swept settings, in the order of the columns.
    pub fn settings(&self) -> Vec<String> {
        let settings = study::kind(self.experiment()).settings(self.experiment());
        settings.iter().map(|&name| name.to_owned()).collect()
    }

    /// What was run and with what, as JSON; `machines` are those that computed it, and how many cells each.
    pub fn manifest(&self, machines: &BTreeMap<&str, usize>) -> String {
        let Facts { data_digest, source_digests, classes } = &self.manifest;
        let manifest = json!({
            "name": self.experiment().name,
            "polarity": env!("CARGO_PKG_VERSION"),
            "results_version": RESULTS_VERSION,
            "libtorch": crate::libtorch(),
            "device": self.device(),
            "machines": machines,
            "data_digest": data_digest,
            "source_digests": source_digests,
            "claims_digest": claim::digest(&self.experiment().claims),
            "classes": classes,
            "cells": self.all_cells().count(),
            "equality": "the same bytes on CPUs with the same vector instructions and on the same \
                         kind of device; elsewhere sums round differently, and single cells differ \
                         while medians agree",
            "experiment": self.experiment(),
        });
        let text = serde_json::to_string_pretty(&manifest).expect("a plan has finite numbers only");
        format!("{text}\n")
    }
}
