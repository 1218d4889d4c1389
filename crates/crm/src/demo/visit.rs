//! Whoever measures a server with demo data signs in there first, as an admin of each of its companies.

use super::{PASSWORD, names};
use serde_json::json;
use std::collections::HashMap;

/// What the admins of the demo's companies send in their `Cookie` header, by the id of their company.
#[derive(Clone, Default)]
pub struct Keys(HashMap<String, String>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Keys {
    /// The companies.
    pub fn companies(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What an admin of this company sends; nothing for another.
    #[must_use]
    pub fn of(&self, company: &str) -> &str {
        self.0.get(company).map_or("", String::as_str)
    }
}

/// Signs in at the server at `base`, as `http://127.0.0.1:8080`.
///
/// # Errors
/// It does not answer, or has no demo.
///
/// # Cancel safety
/// Dropped early, it has signed in as some and not as others.
pub async fn sign_in(client: &reqwest::Client, base: &str) -> Result<Keys, reqwest::Error> {
    let mut keys = HashMap::new();
    for names in names::COMPANIES {
        let login = json!({"email": super::address(names.users[0], names.domain), "password": PASSWORD});
        let answer = client.post(format!("{base}/api/auth/login")).json(&login).send().await?;
        let answer = answer.error_for_status()?;
        let cookie = answer.headers().get("set-cookie").and_then(|cookie| cookie.to_str().ok());
        let cookie = cookie.and_then(|cookie| cookie.split(';').next()).unwrap_or_default().to_owned();
        let me: serde_json::Value = answer.json().await?;
        keys.insert(me["company_id"].as_str().unwrap_or_default().to_owned(), cookie);
    }
    Ok(Keys(keys))
}
