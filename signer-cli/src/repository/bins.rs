//! Hashed bins: the files of a product's releases, spread over 64 roles by the digest of their paths, so that a device
//! loads a part of a long list (docs/decisions/0006). Decides their names, which target stands in which, and what the
//! product's role says of them. Bins are signed by the product's own team, with its threshold.
//!
//! What changes with time (support records, channels) stays in the product's own role: a device that polls loads no bin.

use std::collections::BTreeMap;

use perennial_schemas::tuf::{Delegation, Delegations, Extra, TargetFile, Targets};
use perennial_schemas::{Digest as _, ProductName, RoleName};

use crate::crypto::Ring;

/// Bins of a product: a power of two, at most 256.
pub const BINS: u8 = 64;

/// Two hexadecimal digits a prefix: each bin has four of the 256.
const PREFIXES: u8 = u8::MAX / BINS + 1;

/// What stands between a product and a bin's number. A product's name holds no dot, so no product is called as a bin.
const MIDDLE: &str = ".bin-";

/// Bin `number` of a product: `thermostat.bin-3f`.
pub fn bin(product: &ProductName, number: u8) -> RoleName {
    #[expect(clippy::expect_used, reason = "a product's name has at most 63 bytes of plain text")]
    format!("{product}{MIDDLE}{number:02x}").parse().expect("a bin's name")
}

/// Every bin of a product.
pub fn all(product: &ProductName) -> impl Iterator<Item = RoleName> {
    (0..BINS).map(|number| bin(product, number))
}

/// The product whose bin a role is, by its name.
pub fn owner(role: &RoleName) -> Option<ProductName> {
    let (product, number) = role.as_str().split_once(MIDDLE)?;
    let product = product.parse().ok()?;
    let known = u8::from_str_radix(number, 16).ok().filter(|number| *number < BINS)?;
    (bin(&product, known) == *role).then_some(product)
}

/// The role of the product that a role belongs to: itself, unless it is a bin.
pub fn family(role: &RoleName) -> RoleName {
    owner(role).map_or_else(|| role.clone(), |product| RoleName::from(&product))
}

/// Several bins of one product for people: `thermostat.bin-… (5 of them)`.
pub fn counted(bin: &RoleName, count: usize) -> String {
    let product = owner(bin).map_or_else(|| bin.to_string(), |product| product.to_string());
    format!("{product}{MIDDLE}… ({count} of them)")
}

/// Whether a target stands in a bin, where its product has bins: every file of a release.
pub fn takes(product: &ProductName, path: &str) -> bool {
    let own = path.strip_prefix(product.as_str()).is_some_and(|rest| rest.starts_with('/'));
    own && (!path.ends_with(".json") || path.ends_with(".release.json"))
}

/// The bin for a target path.
pub fn of_path(product: &ProductName, path: &str) -> RoleName {
    bin(product, Ring.sha256(path.as_bytes()).0[0] / PREFIXES)
}

/// Whether the role of a product delegates to bins.
pub fn are_in(product: &ProductName, role: &Targets) -> bool {
    let roles = role.delegations.iter().flat_map(|delegations| delegations.roles.iter().flatten());
    roles.into_iter().any(|role| owner(&role.name).as_ref() == Some(product))
}

/// What the role of a product says of its bins, where `top` is the top-level role; `None` where that does not delegate
/// to the product.
pub fn delegations(product: &ProductName, top: &Targets) -> Option<Delegations> {
    let top = top.delegations.as_ref()?;
    let team = top.roles.iter().flatten().find(|role| role.name.as_str() == product.as_str())?;
    let keys = top.keys.iter().filter(|(id, _)| team.keyids.contains(id));
    let role = |number: u8| {
        let prefixes = (0..PREFIXES).map(|i| format!("{:02x}", number * PREFIXES + i));
        Delegation {
            name: bin(product, number),
            keyids: team.keyids.clone(),
            threshold: team.threshold,
            terminating: true,
            paths: None,
            path_hash_prefixes: Some(prefixes.collect()),
            extra: Extra::new(),
        }
    };
    Some(Delegations {
        keys: keys.map(|(id, key)| (id.clone(), key.clone())).collect(),
        roles: Some((0..BINS).map(role).collect()),
        succinct_roles: None,
        extra: Extra::new(),
    })
}

/// The targets of a product (or of another role) as a device finds them: its role's own, then those of its bins.
pub fn targets<'t>(
    role: &RoleName,
    role_of: impl Fn(&RoleName) -> Option<&'t Targets>,
) -> BTreeMap<&'t str, &'t TargetFile> {
    let Some(own) = role_of(role) else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    if let Some(product) = role.as_str().parse().ok().filter(|product| are_in(product, own)) {
        let bins: Vec<&Targets> = all(&product).filter_map(|bin| role_of(&bin)).collect();
        found.extend(bins.into_iter().flat_map(|bin| &bin.targets).map(|(path, file)| (path.as_str(), file)));
    }
    found.extend(own.targets.iter().map(|(path, file)| (path.as_str(), file)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, thermostat};

    #[test]
    fn each_path_has_the_one_bin_that_is_delegated_it() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let top = repository.published().unwrap().targets().unwrap().value().clone();
        let delegations = delegations(&thermostat(), &top).unwrap();
        for number in 0..2000 {
            let path = format!("thermostat/1.{number}.0.release.json");
            let digest = Ring.sha256(path.as_bytes());
            let expected = vec![(of_path(&thermostat(), &path), true)];
            assert_eq!(delegations.candidates(&path, &digest), expected);
        }
        assert!(delegations.roles.unwrap().iter().all(|role| owner(&role.name) == Some(thermostat())));
    }

    #[test]
    fn only_files_of_releases_stand_in_bins() {
        for path in ["1.0.0.release.json", "1.0.0.revC.image.zst", "1.0.0.revC.image.index", "1.0.0.sbom"] {
            assert!(takes(&thermostat(), &format!("thermostat/{path}")), "{path}");
        }
        for path in ["thermostat/support.json", "thermostat/stable.channel.json", "kettle/1.0.0.sbom"] {
            assert!(!takes(&thermostat(), path), "{path}");
        }
    }

    #[test]
    fn other_names_are_no_bins() {
        for name in ["thermostat", "thermostat.bin-40", "thermostat.bin-0A", "thermostat.bin-1", "T.bin-00"] {
            assert_eq!(owner(&name.parse().unwrap()), None, "{name}");
        }
        assert_eq!(owner(&"thermostat.bin-3f".parse().unwrap()), Some(thermostat()));
    }
}
