//! `crm user`: users and their passwords, for whoever has the database in hand: the first admin of a company, and one who is locked
//! out.

use super::{Failure, open};
use crate::access::{self, Home, PasswordKind};
use crate::caller::Role;
use crate::companies::NewCompany;
use crate::config::Settings;
use crate::error::Error;
use crate::password::Password;
use crate::users::NewUser;
use clap::{Args, Subcommand};
use std::io::{BufRead, Write};

const ADD_EXAMPLES: &str = "\
Examples:
  crm user add ann@example.com --name 'Ann Lee' --role admin --new-company 'Lee & Sons' --currency EUR
  crm user add bob@example.com --name 'Bob Lee' --role rep --company 'Lee & Sons'
  pass show crm/ann | crm user add ann@example.com --name 'Ann Lee' --company 'Lee & Sons' --password-stdin

Without --password-stdin a password is made and printed, and has to be changed at the first sign-in.";

/// What can be done about users.
#[derive(Debug, Subcommand)]
pub(super) enum User {
    /// Add a user, with a company for it if need be
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// Give a user another password, and end all its sessions
    Password(NewPassword),
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The address that it signs in with
    #[arg(value_name = "EMAIL")]
    email: String,
    /// Its name
    #[arg(long)]
    name: String,
    /// What it may do
    #[arg(long, value_name = "ROLE", default_value = "admin", value_parser = role)]
    role: Role,
    /// The name or the id of its company
    #[arg(long, value_name = "COMPANY", required_unless_present = "new_company")]
    company: Option<String>,
    /// The name of a company to be added with it
    #[arg(long, value_name = "NAME", conflicts_with = "company")]
    new_company: Option<String>,
    /// The currency of the new company, for good
    #[arg(long, value_name = "CODE", default_value = "EUR", conflicts_with = "company")]
    currency: String,
    #[command(flatten)]
    password: NewSecret,
}

#[derive(Debug, Args)]
pub(super) struct NewPassword {
    /// The address that it signs in with
    #[arg(value_name = "EMAIL")]
    email: String,
    #[command(flatten)]
    password: NewSecret,
}

#[derive(Debug, Args)]
struct NewSecret {
    /// Read the password from the first line of standard input, instead of making one
    #[arg(long)]
    password_stdin: bool,
}

fn role(word: &str) -> Result<Role, String> {
    Role::parse(word).ok_or_else(|| format!("give one of: {}", Role::WORDS.join(", ")))
}

impl NewSecret {
    /// The password, and how its user comes by it.
    fn get(&self) -> Result<(Password, PasswordKind), Failure> {
        if !self.password_stdin {
            return Ok((Password::generated(), PasswordKind::Temporary));
        }
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        Ok((Password::from(line.trim_end_matches(['\r', '\n']).to_owned()), PasswordKind::Own))
    }
}

pub(super) async fn run(settings: &Settings, user: User) -> Result<(), Failure> {
    let database = open(settings).await?;
    match user {
        User::Add(Add { email, name, role, company, new_company, currency, password }) => {
            let (password, kind) = password.get()?;
            let founded =
                |name| NewCompany { external_id: None, name, sector: None, country: None, currency };
            let home = match (company, new_company.map(founded)) {
                (Some(company), _) => Home::Of(company),
                (None, Some(founded)) => Home::New(founded),
                (None, None) => return Err(Error::Conflict("name a company".to_owned()).into()),
            };
            let new = NewUser { external_id: None, email: Some(email), name, role };
            let user = access::add_user(&database, home, new, (&password, kind)).await?;
            let email = user.email.unwrap_or_default();
            tell(&format!("{email} is a {} now", user.role), &password, kind)?;
        }
        User::Password(NewPassword { email, password }) => {
            let (password, kind) = password.get()?;
            access::set_password(&database, &email, &password, kind).await?;
            tell(&format!("{email} has another password, and is signed out everywhere"), &password, kind)?;
        }
    }
    database.close().await;
    Ok(())
}

fn tell(what: &str, password: &Password, kind: PasswordKind) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}.")?;
    if kind == PasswordKind::Temporary {
        writeln!(out, "The password, to be changed at the next sign-in: {}", password.expose())?;
    }
    Ok(())
}
