#!/usr/bin/env python3
"""The audit finds what it is there to find; its own statistics are those of other software.

    python3 tools/audit/test_audit.py
"""

import environment

environment.enter()

import dataclasses
import itertools
import re
import shutil
import tempfile
import unittest
from fractions import Fraction
from pathlib import Path

import lifelines
import numpy as np
import scipy

import claims
import known
import reports
import stats
import tables
import units
from audit import Audit, audit_markdown, audit_page
from recompute import Recomputed

DEMO = environment.ROOT / "results" / "demo"


def differences(text: str, recomputed: Recomputed) -> list[str]:
    """What differs between a report.md and its tables."""
    audit = Audit("demo")
    audit_markdown(audit, text, recomputed)
    return audit.differences


class PlantedErrors(unittest.TestCase):
    """Errors put into a copy of the demo's results."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.recomputed = Recomputed(tables.read(DEMO))
        cls.text = (DEMO / "report.md").read_text()
        cls.before = differences(cls.text, cls.recomputed)

    def found(self, text: str) -> list[str]:
        """Differences that the untouched report does not have."""
        return [line for line in differences(text, self.recomputed) if line not in self.before]

    def test_every_digit_of_the_report_counts(self) -> None:
        unseen = []
        for digit in re.finditer(r"\d", self.text):
            other = str((int(digit[0]) + 5) % 10)
            text = self.text[: digit.start()] + other + self.text[digit.end() :]
            if not self.found(text):
                unseen.append(self.text[max(0, digit.start() - 30) : digit.end() + 30])
        self.assertEqual(unseen, [])

    def test_a_changed_sign_is_found(self) -> None:
        self.assertTrue(self.found(re.sub(r" -(\d)", r" +\1", self.text, count=1)))

    def test_a_line_that_is_missing_twice_there_or_of_no_arm_is_found(self) -> None:
        line = next(line for line in self.text.splitlines(keepends=True) if "| frozen-random " in line)
        for text in ("", line + line, line.replace("frozen-random ", "frozen-rendom ")):
            self.assertTrue(self.found(self.text.replace(line, text, 1)), text)

    def test_a_column_of_another_name_is_found(self) -> None:
        self.assertTrue(self.found(self.text.replace("error_at_16", "error_at_17", 1)))

    def test_a_sentence_with_a_number_that_nobody_recomputed_is_found(self) -> None:
        self.assertIn("12 of 13", self.found(self.text + "\nIn 12 of 13 cells.\n")[0])

    def test_counts_that_two_cells_exchanged_are_found(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(shutil.copytree(DEMO, Path(scratch) / "demo"))
            lines = (folder / "trials.csv").read_text().splitlines()
            place = lines[0].split(",").index("test_error")
            first, second = lines[1].split(","), lines[-1].split(",")
            first[place], second[place] = second[place], first[place]
            lines[1], lines[-1] = ",".join(first), ",".join(second)
            (folder / "trials.csv").write_text("\n".join(lines) + "\n")
            found = differences(self.text, Recomputed(tables.read(folder)))
        self.assertTrue([line for line in found if line not in self.before])

    def test_a_folder_without_a_table_is_named(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            with self.assertRaisesRegex(tables.Unreadable, "trials.csv: not here; `polarity run` makes it"):
                tables.read(Path(scratch))


class KnownDifferences(unittest.TestCase):
    """The list of known differences."""

    def test_a_listed_difference_is_none_and_an_entry_without_one_is(self) -> None:
        listed = known.Known(["demo: *: printed 0.684*", "xor5d: *"])
        new, stale = listed.sort(["demo: a: printed 0.684, recomputed 0.7", "demo: b"], complete=True)
        self.assertEqual(new, ["demo: b"])
        self.assertEqual(len(stale), 1)
        self.assertIn("xor5d", stale[0])

    def test_an_entry_without_a_reason_is_refused(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "known.toml"
            file.write_text('[[known]]\ndifference = "*"\nreason = " "\n')
            with self.assertRaises(ValueError):
                known.read(file)

    def test_the_list_can_be_read(self) -> None:
        known.read()


def study(claim: dict, errors: dict[str, dict[tuple, list[int | None]]]) -> tables.Study:
    """A study of one claim; `errors` are wrong images of 100 by arm, (source seed, size) and seed."""
    blank = {field.name: None for field in dataclasses.fields(tables.Cell)}
    cells = []
    for arm, by_setting in errors.items():
        for (source, size), wrong in by_setting.items():
            for seed, count in enumerate(wrong):
                own = {"arm": arm, "settings": (("train_size", str(size)),), "seed": seed}
                own |= {"source_seed": source, "curve": {}}
                last = None if count is None else Fraction(count, 100)
                cells.append(tables.Cell(**(blank | own | {"test_error_last": last})))
    claim = {"arms": ["a", "b"], "measure": {"test_error": {"step": "last"}}} | claim
    experiment = {"data": {"train_sizes": [10, 20]}, "claims": [claim]}
    return tables.Study("made up", {"experiment": experiment}, cells)


class Claims(unittest.TestCase):
    """Claims over made-up errors."""

    def test_a_seed_counts_with_its_mean_over_sizes_if_it_has_all(self) -> None:
        errors = {
            "a": {(None, 10): [10, 20, 30], (None, 20): [20, 20, None]},
            "b": {(None, 10): [20, 20, 30], (None, 20): [20, 60, 70]},
        }
        (found,) = claims.answers(study({"direction": "less"}, errors))
        self.assertEqual((found.pairs, found.difference.estimate.value), (2, -0.125))
        self.assertEqual(found.verdict, "undecided")

    def test_a_source_counts_with_its_mean_over_seeds_against_an_arm_without_one(self) -> None:
        errors = {
            "a": {(0, 10): [10, 20], (1, 10): [30, 50]},
            "b": {(None, 10): [20, 20]},
        }
        claim = {"direction": "less", "unit": "source_seed", "at": {"train_size": [10]}}
        (found,) = claims.answers(study(claim, errors))
        self.assertEqual((found.pairs, found.difference.estimate.value), (2, 0.075))

    def test_a_clear_difference_holds_in_its_direction_and_beyond_its_margin_only(self) -> None:
        errors = {"a": {(None, 10): list(range(10, 20))}, "b": {(None, 10): list(range(20, 40, 2))}}
        at = {"at": {"train_size": [10]}}
        for expected, claim in (
            ("holds", {"direction": "less"}),
            ("holds", {"direction": "less", "margin": 0.1}),
            ("does not hold", {"direction": "greater"}),
            ("does not hold", {"direction": "less", "margin": 0.3}),
            ("does not hold", {"within": 0.05}),
            ("holds", {"within": 0.3}),
            ("undecided", {"within": 0.15}),
        ):
            (found,) = claims.answers(study(claim | at, errors))
            self.assertEqual(found.verdict, expected, (claim, found.difference))

    def test_an_equivalence_is_not_seen_where_the_interval_is_wider_than_the_margin(self) -> None:
        errors = {"a": {(None, 10): [10, 30, 50, 20, 60]}, "b": {(None, 10): [30, 20, 20, 40, 50]}}
        (found,) = claims.answers(study({"within": 0.01, "at": {"train_size": [10]}}, errors))
        self.assertEqual((found.verdict, found.doubt), ("undecided", claims.WIDE))


    def test_a_table_of_claims_in_a_page_is_compared_line_by_line(self) -> None:
        errors = {"a": {(None, 10): list(range(10, 20))}, "b": {(None, 10): list(range(20, 40, 2))}}
        claim = {"says": "It | errs less.", "direction": "less", "at": {"train_size": [10]}}
        answers = {"made up": claims.answers(study(claim, errors))}
        line = "| made up | It \\| errs less. | holds | -14.5 [-17.0, -12.0] | 0.002 | 10 |\n"
        header = "| study | claim | verdict | difference | p (Holm) | pairs |\n|:--|:--|:--|--:|--:|--:|\n"
        page = f"<!-- claims -->\n{header}{line}<!-- end -->\n"
        for text, found in ((page, 0), (page.replace("-14.5", "-15.5"), 1), (page.replace(line, ""), 1)):
            audit = Audit("pages")
            audit_page(audit, "README.md", text, answers)
            self.assertEqual(len(audit.differences), found, audit.differences)


class Units(unittest.TestCase):
    """Runs and sources."""

    def test_runs_without_sources_pair_by_seed(self) -> None:
        first, second = {(None, 0): 1, (None, 1): 2, (None, 2): 3}, {(None, 1): 5, (None, 0): 4}
        self.assertEqual(units.pairs(first, second), [(1, 4), (2, 5)])

    def test_a_source_counts_once_by_the_seeds_that_both_arms_have(self) -> None:
        first = {(8, 0): 1, (8, 1): 3, (9, 0): 5, (9, 1): 9, (9, 2): 100}
        second = {(None, 0): 10, (None, 1): 30}
        self.assertEqual(units.observations(first), [2, 38])
        self.assertEqual(units.pairs(first, second), [(2, 20), (7, 20)])


class Statistics(unittest.TestCase):
    """What is written out here, against software that is not ours and against trying all cases."""

    def test_bootstrap_ends_are_those_of_scipys_draws(self) -> None:
        rng = np.random.default_rng(0)
        for count in (5, 8, 10, 13):
            sample = np.sort(rng.integers(0, 40, count))
            values = [Fraction(int(value), 40) for value in sample]
            for statistic, own in ((np.median, stats.bca_median), (np.mean, stats.bca_mean)):
                drawn = scipy.stats.bootstrap(
                    (sample,), statistic, method="BCa", n_resamples=200_000, batch=10_000, random_state=rng
                ).confidence_interval
                found = own(values)
                np.testing.assert_allclose([40 * found.low.value, 40 * found.high.value], drawn, atol=0.5)

    def test_the_medians_of_all_resamples_are_counted(self) -> None:
        for sample in ([1, 2, 2, 7], [0, 3, 4, 4, 9], [5, 6]):
            all_of_them = [2 * np.median(draw) for draw in itertools.product(sample, repeat=len(sample))]
            values, counts = np.unique(all_of_them, return_counts=True)
            support, chances = stats.median_distribution(np.array(sample))
            possible = chances > 1e-12
            np.testing.assert_array_equal(support[possible], values)
            np.testing.assert_allclose(chances[possible], counts / len(all_of_them))

    def test_signed_ranks_are_scipys_without_ties_and_those_of_all_signs_with_ties(self) -> None:
        for differences in ([12, -3, 21, 7, -16, 33, 4, 28], [-77, -47, -111, -25, -38, -92, -85]):
            expected = scipy.stats.wilcoxon(differences, method="exact").pvalue
            self.assertAlmostEqual(stats.signed_rank(differences).p, expected, places=12)
        tied = np.array([1, 1, -1, 2, 2, 3, -4, 5, 5])
        ranks = scipy.stats.rankdata(abs(tied))
        sums = [ranks[list(signs)].sum() for signs in itertools.product((False, True), repeat=len(tied))]
        smaller = min(ranks[tied > 0].sum(), ranks[tied < 0].sum())
        share = np.mean(np.minimum(sums, ranks.sum() - np.array(sums)) <= smaller)
        self.assertAlmostEqual(stats.signed_rank([*tied, 0]).p, share, places=12)

    def test_rank_sums_are_those_of_all_ways_to_deal(self) -> None:
        first, second = [1, 1, 2, 3, 3, 5], [2, 3, 3, 4, 6, 6, 7]
        ranks = scipy.stats.rankdata([*first, *second])
        sums = np.array([sum(choice) for choice in itertools.combinations(ranks, len(first))])
        far = abs(ranks[: len(first)].sum() - sums.mean())
        share = np.mean(abs(sums - sums.mean()) >= far - 1e-9)
        self.assertAlmostEqual(stats.mann_whitney(first, second), share, places=12)

    def test_a_survival_curve_of_exactly_one_half_is_one_half(self) -> None:
        times = [stats.Time(time, True) for time in range(1, 51)]
        self.assertEqual(stats.kaplan_meier(times).estimate.value, 25)
        # 14 of 28 with a rounding error: lifelines itself is one event late somewhere.
        late = 0
        for count in range(2, 60, 2):
            times = [stats.Time(time, True) for time in range(1, count + 1)]
            self.assertEqual(stats.kaplan_meier(times).estimate.value, count // 2)
            late += lifelines.KaplanMeierFitter().fit(range(1, count + 1)).median_survival_time_ != count // 2
        self.assertGreater(late, 0)

    def test_holms_p_values_are_the_textbooks(self) -> None:
        found = stats.holm([0.01, 0.04, 0.03, 0.005])
        np.testing.assert_allclose(found, [0.03, 0.06, 0.06, 0.02])

    def test_printed_numbers_stand_for_all_that_round_to_them(self) -> None:
        cells = {"-1.5": (-1.55, -1.45), "<0.001": (0, 0.0005), "7": (6.5, 7.5), "∞": (np.inf, np.inf)}
        for text, ends in cells.items():
            printed = reports.numbers(text)[0]
            np.testing.assert_allclose(printed[1:], ends, rtol=1e-5)


if __name__ == "__main__":
    unittest.main()
