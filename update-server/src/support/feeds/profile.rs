//! The manufacturer usage description (RFC 8520): what a network may let the product do, and whether it is supported. It
//! says where the product connects to, as the record does; it asks for nothing to be let in from outside.
//!
//! The file names its own address, which must be `https:`: a server without such a public address has none. It isn't signed
//! in the form of section 13; the record that it is made from is.

use super::{Listed, Rendered, View, absent, json, last_day, page, standing};
use perennial_schemas::Timestamp;
use serde_json::{Value, json as value};

/// Its media type (RFC 8520, section 17.5).
const MEDIA: &str = "application/mud+json";

/// Characters of `systeminfo` (section 3.7) and of each name (YANG asks for 1 to 64).
const INFO: usize = 60;

/// The file of a product; 404 on a server without a public `https:` address.
pub(crate) fn of(listed: &Listed, view: &View<'_>) -> Rendered {
    if view.base.starts_with("https://") {
        json(MEDIA, &file(listed, view))
    } else {
        absent("a network profile names its own https: address, and this server's isn't configured\n")
    }
}

fn file(listed: &Listed, view: &View<'_>) -> Value {
    let record = &listed.record;
    let status = standing(listed, view, None);
    let mut mud = value!({
        "mud-version": 1,
        "mud-url": view.address(&format!("{}/mud.json", page(listed))),
        "last-update": last_update(listed, view),
        "cache-validity": 24,
        "is-supported": status.state.is_supported(),
        "systeminfo": record.display_name().chars().take(INFO).collect::<String>(),
        "documentation": view.address(&page(listed)),
    });
    let mut file = value!({});
    let set = |object: &mut Value, name: &str, value: Value| object[name] = value;
    if let Some(maker) = &record.maker {
        set(&mut mud, "mfg-name", value!(maker.party.name.chars().take(INFO).collect::<String>()));
    }
    if let Some(model) = &record.model {
        set(&mut mud, "model-name", value!(model.designation.chars().take(INFO).collect::<String>()));
        if !model.connects_to.is_empty() {
            set(&mut mud, "from-device-policy", policy(Way::From));
            set(&mut mud, "to-device-policy", policy(Way::To));
            let lists = [Way::From, Way::To]
                .into_iter()
                .flat_map(|way| ["ipv4", "ipv6"].map(|family| list(way, family, &model.connects_to)));
            set(&mut file, "ietf-access-control-list:acls", value!({ "acl": lists.collect::<Vec<_>>() }));
        }
    }
    if let Some(update) = listed.latest() {
        set(&mut mud, "firmware-rev", value!(update.release.version.to_string()));
    }
    set(&mut file, "ietf-mud:mud", mud);
    file
}

/// When what the file says last changed: with the record, or on the day after the last.
fn last_update(listed: &Listed, view: &View<'_>) -> Timestamp {
    let over = last_day(&standing(listed, view, None)).end().plus_seconds(1);
    let updated = listed.record.updated();
    if over <= view.now { updated.max(over) } else { updated }
}

#[derive(Clone, Copy)]
enum Way {
    From,
    To,
}

impl Way {
    fn name(self, family: &str) -> String {
        match self {
            Self::From => format!("from-device-{family}"),
            Self::To => format!("to-device-{family}"),
        }
    }
}

fn policy(way: Way) -> Value {
    let lists = ["ipv4", "ipv6"].map(|family| value!({ "name": way.name(family) }));
    value!({ "access-lists": { "access-list": lists } })
}

/// Connections over TCP that the product itself begins; the record doesn't say which ports.
fn list(way: Way, family: &str, hosts: &[String]) -> Value {
    let side = match way {
        Way::From => "ietf-acldns:dst-dnsname",
        Way::To => "ietf-acldns:src-dnsname",
    };
    let entries = hosts.iter().enumerate().map(|(index, host)| {
        value!({
            "name": format!("host-{}", index + 1),
            "matches": {
                family: { side: host, "protocol": 6 },
                "tcp": { "ietf-mud:direction-initiated": "from-device" },
            },
            "actions": { "forwarding": "accept" },
        })
    });
    value!({
        "name": way.name(family),
        "type": format!("{family}-acl-type"),
        "aces": { "ace": entries.collect::<Vec<_>>() },
    })
}
