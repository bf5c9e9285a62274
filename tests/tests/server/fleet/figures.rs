//! What dashboards, alarm rules and the book name, against what the server shows.

use perennial_server::server::Running;
use serde_json::Value;

use crate::server::kit::ask_admin;

/// What alarm rules, the dashboard and the book name, the server shows, while a rollout is under way.
pub(super) fn figures_are_named_as_they_are(server: &Running) {
    let told = ask_admin(server, "GET", "/metrics", None).text().to_owned();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for document in
        ["docs/rollouts.md", "examples/prometheus/rollout-alerts.yml", "examples/grafana/rollouts.json"]
    {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let named: Vec<&str> = words.filter(|word| word.starts_with("perennial_")).collect();
        assert!(named.len() > 3, "{document} names few figures");
        for word in named {
            assert!(told.contains(&format!("# TYPE {word} ")), "{document} names {word}, which isn't shown");
        }
    }
    let asked = ["docs/rollouts.md", "docs/server.md", "examples/grafana/rollouts.json"];
    let rules = ["examples/prometheus/rollout-alerts.yml", "examples/prometheus/perennial-server.rules.yml"];
    for document in asked.into_iter().chain(rules) {
        let text = std::fs::read_to_string(root.join(document)).unwrap().replace("\\\"", "\"");
        let values = selected(&text);
        assert!(!rules.contains(&document) || values.len() > 5, "{document} asks for few values: {values:?}");
        for (name, label, value) in values {
            assert!(shows(&told, name, label, value), "{document}: {name} never has {label}=\"{value}\"");
        }
    }
    for rules in ["rollout-alerts.yml", "perennial-server.rules.yml"] {
        let text = std::fs::read_to_string(root.join("examples/prometheus").join(rules)).unwrap();
        let rules = text.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
        let rules = rules.map(|rule| rule.replace(" unless ", " and "));
        rules.filter(|rule| rule.contains(" and ")).for_each(|rule| joins(&rule, &told));
    }
    let dashboard = std::fs::read_to_string(root.join("examples/grafana/rollouts.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() >= 6);
}

/// Each value of a label that a document asks a figure for: name, label, value. What a reader chooses (`$version`) is none.
fn selected(text: &str) -> Vec<(&str, &str, &str)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("perennial_") {
        let end = text[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = text[at..].split_at(end.unwrap_or(text.len() - at));
        let Some((labels, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
            continue;
        };
        for selector in labels.split("\",").filter(|selector| !selector.is_empty()) {
            let (label, value) = selector.split_once('"').unwrap_or_else(|| panic!("{name}{{{labels}}}"));
            let label = label.trim_end_matches(['=', '!', '~']);
            let values = value.trim_end_matches('"').split('|');
            found.extend(values.filter(|value| !value.starts_with('$')).map(|value| (name, label, value)));
        }
    }
    found
}

/// Whether a figure has such a value. One that is shown with no value yet has its labels from its like.
fn shows(told: &str, name: &str, label: &str, value: &str) -> bool {
    let pair = |wanted: &str| format!("{label}=\"{wanted}");
    let lines = |name: &str| -> Vec<&str> {
        told.lines().filter(|line| line.starts_with(name) && line.contains(&pair(""))).collect()
    };
    let own = lines(&format!("{name}{{"));
    let lines = if own.is_empty() { lines("perennial_") } else { own };
    lines.iter().any(|line| line.contains(&format!("{}\"", pair(value))))
}

/// Prometheus joins two sides whose labels are the same; any other join is empty for ever, unless it says `on`.
fn joins(rule: &str, told: &str) {
    let labels = |side: &str| -> std::collections::BTreeSet<String> {
        if let Some(by) = side.strip_prefix("sum by (") {
            let (by, _) = by.split_once(')').unwrap();
            return by.split(", ").map(str::to_owned).collect();
        }
        let name = side.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = name.into_iter().find(|word| word.starts_with("perennial_")).unwrap();
        let line = told
            .lines()
            .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        let line = line.unwrap_or_else(|| panic!("{name} is shown with no value"));
        let labels = line.split_once('{').map_or("", |(_, labels)| labels.split_once('}').unwrap().0);
        let each = labels.split("\",").filter(|label| !label.is_empty());
        each.map(|label| label.split_once('=').unwrap().0.to_owned()).collect()
    };
    let mut sides = rule.split(" and ");
    let first = labels(sides.next().unwrap());
    for side in sides {
        match side.strip_prefix("on (").and_then(|side| side.split_once(") ")) {
            Some((on, side)) => {
                let other = labels(side);
                assert!(on.split(", ").all(|it| first.contains(it) && other.contains(it)), "{rule}");
            }
            None => assert_eq!(first, labels(side), "{rule}"),
        }
    }
}
