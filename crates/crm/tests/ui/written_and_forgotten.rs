#![deny(unused_must_use)]

use crm::companies::{self, Company};
use crm::database::Change;
use crm::error::Error;

pub async fn rename(change: &mut Change, company: Company) -> Result<(), Error> {
    companies::save(change, company).await?;
    Ok(())
}

fn main() {}
