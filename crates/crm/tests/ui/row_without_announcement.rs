use crm::companies::Company;
use crm::written::Written;

pub fn name(company: Written<Company>) -> String {
    company.row.name
}

fn main() {}
