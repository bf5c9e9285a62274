//! `docs/compliance.csv`: each clause of the law leads to code and tests that there are, or says whose duty it is; and
//! the book's page of it is current.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{root, text, tracked};

const TABLE: &str = "docs/compliance.csv";
const PAGE: &str = "docs/compliance.md";

/// What a clause's status may be, and what people read for it.
const STATUS: [(&str, &str); 4] =
    [("done", "done"), ("part", "in part"), ("later", "later"), ("maker", "the maker's")];

#[derive(serde::Deserialize)]
struct Clause {
    regime: String,
    clause: String,
    asks: String,
    status: String,
    feature: String,
    code: String,
    tests: String,
    remaining: String,
}

impl Clause {
    fn list(names: &str) -> impl Iterator<Item = &str> {
        names.split("; ").filter(|name| !name.is_empty())
    }
}

fn clauses() -> Vec<Clause> {
    let table = text(TABLE);
    csv::Reader::from_reader(table.as_bytes()).deserialize().map(|row| row.unwrap()).collect()
}

#[test]
fn every_clause_leads_to_files_and_tests_that_there_are() {
    let sources: Vec<String> = tracked()
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(text)
        .collect();
    for clause in clauses() {
        let place = format!("{}, {}", clause.regime, clause.clause);
        for file in Clause::list(&clause.code) {
            assert!(root().join(file).exists(), "{place} names {file}, which isn't there");
        }
        for test in Clause::list(&clause.tests) {
            let function = format!("fn {test}(");
            let there = sources.iter().any(|source| source.contains(&function));
            assert!(there, "{place} names the test {test}, which isn't there");
        }
    }
}

/// What is done is shown by a test; what is not is somebody's duty, and it says whose.
#[test]
fn every_gap_says_whose_duty_it_is() {
    let mut seen = std::collections::BTreeSet::new();
    for clause in clauses() {
        let place = format!("{}, {}", clause.regime, clause.clause);
        assert!(seen.insert(place.clone()), "{place} stands there twice");
        assert!(!clause.asks.is_empty(), "{place}");
        assert!(STATUS.iter().any(|(status, _)| *status == clause.status), "{place}: {}", clause.status);
        if ["done", "part"].contains(&clause.status.as_str()) {
            let shown = [&clause.feature, &clause.code, &clause.tests].iter().all(|cell| !cell.is_empty());
            assert!(shown, "{place} is {} and doesn't show what by", clause.status);
        }
        let whose: &[&str] = match clause.status.as_str() {
            "done" => continue,
            "maker" => &["The manufacturer"],
            "later" => &["Later in Perennial"],
            _ => &["The manufacturer", "Later in Perennial"],
        };
        let named = whose.iter().any(|whose| clause.remaining.contains(whose));
        assert!(named, "{place} doesn't say whose duty the rest is: {:?}", clause.remaining);
    }
}

#[test]
fn the_page_of_the_clauses_is_current() {
    let made = page(&clauses());
    if std::env::var_os("PERENNIAL_WRITE").is_some() {
        std::fs::write(root().join(PAGE), &made).unwrap();
    }
    let stored = std::fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    assert!(
        stored == made,
        "{PAGE} is out of date: PERENNIAL_WRITE=1 cargo test -p perennial-tests compliance"
    );
}

fn page(clauses: &[Clause]) -> String {
    let mut out = String::from(
        "<!-- Made from compliance.csv by a test; change that file. -->\n\
         # What it answers to\n\n\
         Which clause of which law or standard asks for what, what in Perennial answers to it, in which file, and which test\n\
         shows it. The same as open data: [compliance.csv](compliance.csv). A test checks that each file and test named here\n\
         exists, and that each gap says whose duty it is.\n\n\
         This is no legal advice. Clauses are given in short and in our words: read the official text before you rely on them.\n\
         No software makes a manufacturer compliant; what only it can do says so.\n\n",
    );
    let count = |regime: &str, status: &str| {
        clauses.iter().filter(|clause| clause.regime == regime && clause.status == status).count()
    };
    // Writing into a string can't fail.
    let _ = writeln!(out, "| | {} |", STATUS.map(|(_, words)| words).join(" | "));
    let _ = writeln!(out, "| --- | {} |", STATUS.map(|_| "---:").join(" | "));
    let mut regimes: Vec<&str> = Vec::new();
    for clause in clauses {
        if !regimes.contains(&clause.regime.as_str()) {
            regimes.push(&clause.regime);
        }
    }
    for regime in &regimes {
        let counts = STATUS.map(|(status, _)| count(regime, status).to_string());
        let _ = writeln!(out, "| {regime} | {} |", counts.join(" | "));
    }
    let words: BTreeMap<&str, &str> = STATUS.into_iter().collect();
    for regime in regimes {
        let _ = writeln!(out, "\n## {regime}");
        for clause in clauses.iter().filter(|clause| clause.regime == regime) {
            let status = words.get(clause.status.as_str()).copied().unwrap_or_default();
            let _ = writeln!(out, "\n**{}**: {}. *{status}*\n", clause.clause, clause.asks);
            if !clause.feature.is_empty() {
                let _ = writeln!(out, "- {}", clause.feature);
            }
            let quoted = |names: &str| {
                Clause::list(names).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            };
            for (what, names) in [("Code", &clause.code), ("Tests", &clause.tests)] {
                if !names.is_empty() {
                    let _ = writeln!(out, "- {what}: {}", quoted(names));
                }
            }
            if !clause.remaining.is_empty() {
                let _ = writeln!(out, "- {}", clause.remaining);
            }
        }
    }
    out
}
