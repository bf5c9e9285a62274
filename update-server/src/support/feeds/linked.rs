//! The product as schema.org describes products, in JSON-LD, for the page: search engines and price comparisons read the
//! date there. It is data in a `script` element; nothing runs it, and a policy that allows no script leaves it be.

use super::{Listed, View, last_day, page, standing};
use perennial_schemas::support::Identifier;
use serde_json::{Map, Value, json};

/// The JSON-LD of a product, fit to stand inside `<script type="application/ld+json">`: it holds no `<`, `>` or `&`.
pub(crate) fn of(listed: &Listed, view: &View<'_>) -> String {
    inside_script(&value(listed, view))
}

fn value(listed: &Listed, view: &View<'_>) -> Value {
    let record = &listed.record;
    let status = standing(listed, view, None);
    let mut product = Map::new();
    let mut set = |name: &str, value: Value| drop(product.insert(name.into(), value));
    set("@context", json!("https://schema.org"));
    set("@type", json!("Product"));
    set("name", json!(record.display_name()));
    set("productID", json!(record.product));
    if !view.base.is_empty() {
        set("url", json!(view.address(&page(listed))));
    }
    if let Some(model) = &record.model {
        set("model", json!(model.designation));
        set("category", json!(model.kind));
        for (name, scheme) in [("gtin", "gtin14"), ("mpn", "mpn"), ("sku", "sku")] {
            let own = |identifier: &&Identifier| identifier.scheme == scheme;
            let values: Vec<&str> =
                model.identifiers.iter().filter(own).map(|own| own.value.as_str()).collect();
            match values.as_slice() {
                [] => {}
                [one] => set(name, json!(one)),
                many => set(name, json!(many)),
            }
        }
    }
    if let Some(maker) = &record.maker {
        let mut own =
            json!({ "@type": "Organization", "name": maker.party.name, "address": maker.party.address });
        if let (Some(site), Some(own)) = (&maker.website, own.as_object_mut()) {
            own.insert("url".into(), json!(site));
        }
        set("manufacturer", own);
    }
    let facts = [
        ("securityUpdatesUntil", "Security updates promised until at least", status.until.to_string()),
        ("securityUpdatesEnd", "Last day of security updates", last_day(&status).to_string()),
        ("supportState", "State of support", status.state.as_str().into()),
        ("supportRecordSequence", "Number of the support record", record.sequence.to_string()),
        ("supportRecordSha256", "SHA-256 of the support record", listed.sha256.to_string()),
    ];
    let facts = facts.map(|(id, name, value)| json!({ "@type": "PropertyValue", "propertyID": id, "name": name, "value": value }));
    set("additionalProperty", json!(facts));
    Value::Object(product)
}

/// JSON that can't end the element it stands in, nor begin a comment in it: those characters only occur inside texts, where
/// JSON can write them otherwise.
fn inside_script(value: &Value) -> String {
    let text = value.to_string();
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    escapes.iter().fold(text, |text, (c, escape)| text.replace(*c, escape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_the_element() {
        let odd = json!({ "name": "</script><!-- & \u{2028}" });
        let text = inside_script(&odd);
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), odd);
    }
}
