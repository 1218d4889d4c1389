//! The names of the demo data. All addresses end in `.example`, which belongs to nobody.

/// The names of a company and its people.
pub(super) struct CompanyNames {
    pub(super) name: &'static str,
    pub(super) sector: &'static str,
    pub(super) country: &'static str,
    pub(super) domain: &'static str,
    /// An admin, a manager, three who sell, and one who only reads.
    pub(super) users: &'static [&'static str; 6],
}

pub(super) const COMPANIES: &[CompanyNames] = &[
    CompanyNames {
        name: "Nordlicht Energie",
        sector: "energy",
        country: "DE",
        domain: "nordlicht.example",
        users: &["Jana Petersen", "Malte Brandt", "Lena Vogt", "Emre Aydin", "Sofie Lorenz", "Paul Reimers"],
    },
    CompanyNames {
        name: "Van Dam Logistiek",
        sector: "logistics",
        country: "NL",
        domain: "vandam.example",
        users: &[
            "Marijke Smit",
            "Daan Visser",
            "Sanne Bakker",
            "Ruben de Boer",
            "Noor Jansen",
            "Thijs Mulder",
        ],
    },
    CompanyNames {
        name: "Claddagh Medical",
        sector: "health care",
        country: "IE",
        domain: "claddagh.example",
        users: &["Aoife Byrne", "Conor Walsh", "Niamh Doyle", "Sean Murphy", "Roisin Kelly", "Declan Ryan"],
    },
];

/// Name, series, list price in cents.
pub(super) const PRODUCTS: &[(&str, &str, i64)] = &[
    ("Meter One", "Meter", 18_900),
    ("Meter One Pro", "Meter", 34_900),
    ("Gateway S", "Gateway", 62_000),
    ("Gateway L", "Gateway", 149_000),
    ("Fleet Tracker", "Track", 27_500),
    ("Fleet Tracker Cold", "Track", 41_500),
    ("Insight Basic", "Insight", 96_000),
    ("Insight Enterprise", "Insight", 480_000),
];

/// Name, domain, country.
pub(super) const ORGANISATIONS: &[(&str, &str, &str)] = &[
    ("Stadtwerke Lindau", "sw-lindau.example", "DE"),
    ("Bäckerei Sommer", "sommer.example", "DE"),
    ("Hotel Seeblick", "seeblick.example", "AT"),
    ("Alpina Molkerei", "alpina.example", "CH"),
    ("Kranbau Ziegler", "ziegler.example", "DE"),
    ("Hafen Wismar", "hafen-wismar.example", "DE"),
    ("Brauerei Falk", "falk.example", "DE"),
    ("Tischlerei Ohm", "ohm.example", "DE"),
    ("Klinikum Auental", "auental.example", "DE"),
    ("Gärtnerei Immergrün", "immergruen.example", "DE"),
    ("Druckhaus Merkur", "merkur.example", "AT"),
    ("Solarhof Brinkmann", "solarhof.example", "DE"),
    ("Atelier Rousseau", "rousseau.example", "FR"),
    ("Vignobles Castel", "castel.example", "FR"),
    ("Officina Bianchi", "bianchi.example", "IT"),
    ("Conserve del Sud", "delsud.example", "IT"),
    ("Bodegas Miralles", "miralles.example", "ES"),
    ("Talleres Ibarra", "ibarra.example", "ES"),
    ("Polder Kwekerij", "polder.example", "NL"),
    ("Rederij Zwaan", "zwaan.example", "NL"),
    ("Fietsfabriek Oost", "fietsoost.example", "NL"),
    ("Brouwerij Linde", "linde.example", "BE"),
    ("Chocolaterie Maes", "maes.example", "BE"),
    ("Skibsværft Holm", "holm.example", "DK"),
    ("Fjord Seafood", "fjordseafood.example", "NO"),
    ("Norrland Timber", "norrland.example", "SE"),
    ("Lahti Papier", "lahti.example", "FI"),
    ("Tartu Data", "tartudata.example", "EE"),
    ("Riga Freight", "rigafreight.example", "LV"),
    ("Vilnius Optics", "vilniusoptics.example", "LT"),
    ("Zakład Kowalski", "kowalski.example", "PL"),
    ("Pivovar Hora", "hora.example", "CZ"),
    ("Tatra Steel", "tatrasteel.example", "SK"),
    ("Balaton Fruit", "balaton.example", "HU"),
    ("Porto Cork", "portocork.example", "PT"),
    ("Aegean Lines", "aegeanlines.example", "GR"),
    ("Connacht Dairy", "connachtdairy.example", "IE"),
    ("Galway Instruments", "galwayinstruments.example", "IE"),
    ("Shannon Freight", "shannonfreight.example", "IE"),
    ("Cork Print Works", "corkprint.example", "IE"),
    ("Highland Spring Works", "highland.example", "GB"),
    ("Severn Boats", "severnboats.example", "GB"),
    ("Mersey Foods", "merseyfoods.example", "GB"),
    ("Kent Orchards", "kentorchards.example", "GB"),
    ("St Anne's Hospital", "stannes.example", "GB"),
    ("Dublin Transit", "dublintransit.example", "IE"),
    ("Limerick Labs", "limericklabs.example", "IE"),
    ("Kerry Textiles", "kerrytextiles.example", "IE"),
    ("Antrim Ceramics", "antrim.example", "GB"),
    ("Valletta Shipping", "valletta.example", "MT"),
    ("Nicosia Pharma", "nicosia.example", "CY"),
    ("Ljubljana Energy", "ljubljana.example", "SI"),
    ("Zagreb Machines", "zagrebmachines.example", "HR"),
    ("Luxembourg Archives", "luxarchives.example", "LU"),
];

pub(super) const FIRST_NAMES: &[&str] = &[
    "Anna", "Jonas", "Clara", "Felix", "Marta", "Oskar", "Elena", "Hugo", "Ines", "Karl", "Nora", "Viktor",
    "Greta", "Anton", "Julia", "Simon", "Paula", "Erik", "Laura",
];

pub(super) const LAST_NAMES: &[&str] = &[
    "Berger", "Costa", "Dahl", "Ferrari", "Hansen", "Horvat", "Keller", "Larsen", "Marin", "Novak", "Ortiz",
    "Peeters", "Rossi", "Santos", "Schmid", "Silva", "Weber", "Wagner", "Kowalska", "Nilsson", "Moreau",
    "Byrne", "Lindgren",
];

pub(super) const TITLES: &[&str] = &[
    "Head of Purchasing",
    "Managing Director",
    "Operations Manager",
    "IT Manager",
    "Buyer",
    "Office Manager",
];
