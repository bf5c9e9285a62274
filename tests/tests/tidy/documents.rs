//! What the documents name exists: paths, tests, versions, lanes.

use std::collections::BTreeSet;
use std::path::Path;

use super::{root, text, tracked};

/// Files that the tools write for their users: named in documents, and not in the tree.
const WRITTEN_BY_THE_TOOLS: &[&str] = &["repository.toml", "device.toml", "server.toml"];

#[test]
fn every_path_that_the_map_names_exists() {
    let folders: Vec<String> = tracked()
        .iter()
        .filter_map(|path| path.iter().next())
        .map(|first| first.to_string_lossy().into_owned())
        .collect();
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "SECURITY.md", "THREATS.md"] {
        if !root().join(document).exists() {
            continue;
        }
        for named in in_backticks(&text(document)) {
            let first = named.split('/').next().unwrap();
            let named = named.split(' ').next().unwrap();
            let is_path = named.contains('/') && folders.iter().any(|folder| folder == first);
            let is_file =
                [".md", ".toml"].iter().any(|end| named.ends_with(end)) && !named.contains(['/', ' ', '*']);
            let here = WRITTEN_BY_THE_TOOLS.contains(&named)
                || root().join(named).exists()
                || (!named.contains('/') && tracked().iter().any(|path| path.ends_with(named)));
            assert!(!(is_path || is_file) || here, "{document} names {named}, which isn't there");
        }
    }
}

/// Every relative link of every document leads to a file, and the book's table of contents leads to every page of it.
#[test]
fn every_link_leads_somewhere() {
    let documents: Vec<_> = tracked()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    let mut reached = BTreeSet::new();
    for document in &documents {
        let folder = document.parent().unwrap();
        let source = text(document);
        for (at, _) in source.match_indices("](") {
            let to = source[at + 2..].split([')', '#']).next().unwrap();
            if to.is_empty() || to.contains("://") || to.starts_with("mailto:") {
                continue;
            }
            let target = root().join(folder).join(to);
            assert!(target.exists(), "{} links to {to}, which isn't there", document.display());
            if document == Path::new("docs/README.md") {
                reached.insert(target.canonicalize().unwrap());
            }
        }
    }
    for page in documents.iter().filter(|path| path.starts_with("docs") && !path.ends_with("README.md")) {
        let page = root().join(page).canonicalize().unwrap();
        assert!(reached.contains(&page), "docs/README.md doesn't lead to {}", page.display());
    }
}

#[test]
fn the_changelog_has_the_version() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    let version = manifest["workspace"]["package"]["version"].as_str().unwrap();
    assert!(
        text("CHANGELOG.md").lines().any(|line| line.starts_with(&format!("## {version}"))),
        "CHANGELOG.md has no part for {version}"
    );
}

/// Every threat names a test, and every test named in `THREATS.md` is a function of the tests.
#[test]
fn every_test_that_the_threats_name_exists() {
    if !root().join("THREATS.md").exists() {
        return;
    }
    let sources: Vec<String> = tracked()
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(text)
        .collect();
    let mut column = None;
    let mut named = 0;
    for line in text("THREATS.md").lines() {
        let Some(cells) = line.strip_prefix('|') else {
            column = None;
            continue;
        };
        let cells: Vec<&str> = cells.trim_end_matches('|').split('|').map(str::trim).collect();
        let Some(at) = column else {
            column = cells.iter().position(|cell| cell.eq_ignore_ascii_case("test"));
            continue;
        };
        if cells.iter().all(|cell| cell.chars().all(|c| "-: ".contains(c))) {
            continue;
        }
        let tests = in_backticks(cells[at]);
        assert!(!tests.is_empty(), "no test is named: {line}");
        for test in tests {
            let function = format!("fn {}(", test.rsplit("::").next().unwrap());
            assert!(
                sources.iter().any(|source| source.contains(&function)),
                "THREATS.md names the test {test}, which isn't there"
            );
            named += 1;
        }
    }
    assert!(named > 0, "THREATS.md has no table with a column named `test`");
}

#[test]
fn every_lane_has_its_function_and_ci_runs_them() {
    let script = text("tests/run");
    let lanes: Vec<&str> = script
        .split_once("LANES=(")
        .and_then(|(_, rest)| rest.split_once("\n)"))
        .map(|(list, _)| list)
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split(' ').next())
        .collect();
    assert!(lanes.len() >= 5, "{lanes:?}");
    for lane in lanes {
        assert!(
            script.contains(&format!("lane_{}()", lane.replace('-', "_"))),
            "tests/run lists the lane {lane} and has no function for it"
        );
    }
    assert!(text(Path::new(".ci/run")).contains("tests/run"));
}

/// What stands between single backticks, outside fenced blocks.
fn in_backticks(markdown: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            found.extend(line.split('`').skip(1).step_by(2).filter(|span| !span.is_empty()));
        }
    }
    found
}
