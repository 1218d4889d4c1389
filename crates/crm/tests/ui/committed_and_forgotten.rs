#![deny(unused_must_use)]

use crm::companies::Company;
use crm::database::Change;
use crm::written::Written;

pub async fn commit(change: Change, company: Written<Company>) -> Result<(), sqlx::Error> {
    change.commit(company).await.map_err(|(error, _unknown)| error)?;
    Ok(())
}

fn main() {}
