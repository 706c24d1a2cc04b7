//! The map from the names that callers use to model ids, wherever a request may hold one.

use std::collections::BTreeMap;

use super::fields::Fields;
use crate::domain::settings::ModelId;

/// Most names of models, and most allowed models.
pub(in crate::http) const MODELS_MAX: usize = 100;

/// Callers send a name where they may send a model id, so both obey the same rule.
pub(in crate::http) fn models(
    fields: &mut Fields,
    field: &str,
    map: BTreeMap<String, String>,
) -> Option<BTreeMap<String, ModelId>> {
    let pairs = fields.list(field, MODELS_MAX, map, |fields, _, (name, id)| {
        if ModelId::parse(&name).is_err() || name.len() > 200 {
            fields.refuse(field, "must have names of 1 to 200 characters of A-Z, a-z, 0-9 and .:/_-");
            return None;
        }
        let id = fields.parse(format!("{field}.{name}"), ModelId::parse(&id))?;
        Some((name, id))
    });
    pairs.map(|pairs| pairs.into_iter().collect())
}
