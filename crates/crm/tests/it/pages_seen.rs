//! The pages in a real browser: what one clicks and sees, with a mouse, with a keyboard, at a desk and on a phone.

use crate::browser::{Browser, DESK, Driver, PHONE};
use crate::process::{LIMIT, Serving};
use crm::demo;
use serde_json::Value;
use std::fmt::Write;
use testkit::redis::RedisServer;

/// The keys of a keyboard, as WebDriver names them.
const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";

async fn signed_in(browser: &Browser, address: &str) {
    browser.goto(&format!("http://{address}/")).await;
    browser.fill("#email", demo::ADMIN).await;
    browser.fill("#password", demo::PASSWORD).await;
    browser.click("form button").await;
    browser.find(".board").await;
}

fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_deal_that_is_moved_shows_at_once_on_the_dashboard_of_another_process() {
    testkit::run_within(2 * LIMIT, async {
        let (directory, redis) = (tempfile::tempdir().unwrap(), RedisServer::start().await);
        let over = format!("--redis-url={}", redis.url());
        let one = Serving::start(directory.path(), &[&over]);
        let other = Serving::start(directory.path(), &[&over]);
        let driver = Driver::start();
        let (board, dashboard) = (driver.browser(DESK, "light").await, driver.browser(DESK, "light").await);
        signed_in(&board, &one.address).await;
        signed_in(&dashboard, &other.address).await;
        dashboard.click("nav a[href='/dashboard']").await;
        let won = number(&dashboard.find("#won").await.text().await.unwrap());
        let open = number(&dashboard.text("#open-deals").await);
        // Should the page be loaded anew, this is lost.
        dashboard.run("window.first = true").await;

        let card = board.find("#engaging .card").await.attr("id").await.unwrap().unwrap();
        board.choose(&format!("#{card} select"), "won").await;
        board.click(&format!("#{card} button")).await;
        board.find(&format!("#won #{card}")).await;
        assert!(board.path().await.starts_with("/board"));
        assert!(board.text("p.done").await.ends_with("is won now."));

        dashboard.becomes("#won", &(won + 1).to_string()).await;
        dashboard.becomes("#open-deals", &(open - 1).to_string()).await;
        assert_eq!(dashboard.run("return window.first").await, Value::Bool(true), "nothing was loaded anew");

        // And back by dragging it.
        let drag = format!(
            "const card = document.getElementById('{card}'), data = new DataTransfer();
             const at = (kind, on) => on.dispatchEvent(new DragEvent(kind, {{ bubbles: true, cancelable: true, dataTransfer: data }}));
             at('dragstart', card); at('dragover', document.getElementById('engaging'));
             at('drop', document.getElementById('engaging')); at('dragend', card);"
        );
        board.run(&drag).await;
        board.find(&format!("#engaging #{card}")).await;
        dashboard.becomes("#won", &won.to_string()).await;
        board.close().await;
        dashboard.close().await;
    });
}

#[test]
fn everything_can_be_reached_and_done_with_a_keyboard() {
    testkit::run_within(2 * LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let server = Serving::start(directory.path(), &[]);
        let driver = Driver::start();
        let browser = driver.browser(DESK, "light").await;
        browser.goto(&format!("http://{}/deals?stage=won", server.address)).await;
        // The first field has the focus already.
        browser.press(demo::ADMIN).await;
        browser.press(TAB).await;
        browser.press(demo::PASSWORD).await;
        browser.press(ENTER).await;
        browser.find("table.rows").await;
        assert_eq!(browser.path().await, "/deals?stage=won", "where one wanted to go");

        browser.goto(&format!("http://{}/board", server.address)).await;
        // The order of the focus is that of reading, each stop can be seen, and the first leads past the menu.
        let mut stops = Vec::new();
        for _ in 0..14 {
            browser.press(TAB).await;
            let stop = "const at = document.activeElement, box = at.getBoundingClientRect();
                        return [at.getAttribute('href') ?? at.getAttribute('aria-label') ?? at.textContent.trim(),
                                getComputedStyle(at).outlineStyle !== 'none' && box.width > 0 && box.height > 0,
                                document.getElementById('main').contains(at)]";
            stops.push(browser.run(stop).await);
        }
        let names: Vec<&str> = stops.iter().map(|stop| stop[0].as_str().unwrap()).collect();
        let expected =
            ["#main", "/board", "/deals", "/contacts", "/dashboard", "/cache", "/password", "Sign out"];
        assert_eq!(names[..8], expected);
        assert_eq!(names[9], "/deals/new", "{names:?}");
        assert!(
            names[10].starts_with("/deals/") && names[11].starts_with("Move ") && names[12] == "Move",
            "{names:?}"
        );
        assert!(stops.iter().all(|stop| stop[1] == true), "each stop can be seen: {stops:?}");

        // A card is moved from its choice of stages.
        let card = browser.find("#prospecting .card").await.attr("id").await.unwrap().unwrap();
        browser.run(&format!("document.querySelector('#{card} select').focus()")).await;
        browser.press("E").await;
        browser.press(TAB).await;
        browser.press(ENTER).await;
        browser.until("return location.hash.startsWith('#deal-')", "the board leads to the card").await;
        let detail = card.replacen("deal-", "/deals/", 1);
        browser.goto(&format!("http://{}{detail}", server.address)).await;
        assert!(browser.text(".head").await.contains("Engaging"), "{}", browser.text(".head").await);

        // A note.
        browser.fill("#text", "Called back\nand agreed").await;
        browser.press(TAB).await;
        browser.press(ENTER).await;
        browser
            .until(
                "return document.querySelector('.notes li')?.innerText.includes('and agreed') ?? false",
                "the note",
            )
            .await;
        browser.close().await;
    });
}

/// What must hold of every page, whatever it shows. Contrast is that of WCAG 2.2, 1.4.3: 4.5 to 1, or 3 to 1 for large text.
const EVERY_PAGE: &str = r##"
const wrong = [];
const luminance = ([r, g, b]) => {
  const linear = [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
const colour = (text) => text.match(/[\d.]+/g).map(Number);
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const back = colour(getComputedStyle(at).backgroundColor);
    if (back.length < 4 || back[3] > 0) return back;
  }
  return [255, 255, 255];
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
let texts = 0;
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, style = getComputedStyle(element);
  if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || ["SCRIPT", "TITLE", "title", "OPTION"].includes(element.tagName)) continue;
  texts += 1;
  const ink = colour(element.closest("svg") ? style.fill : style.color);
  const [one, other] = [luminance(ink), luminance(ground(element))].sort((a, b) => b - a);
  const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
  const ratio = (one + 0.05) / (other + 0.05);
  if (ratio < (large ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(2)}: ${walker.currentNode.textContent.trim().slice(0, 40)}`);
}
if (texts < 5) wrong.push(`there are ${texts} texts`);
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth) {
  const wide = [...document.querySelectorAll("body *")].find((e) => e.getBoundingClientRect().right > root.clientWidth + 1);
  wrong.push(`wider than the screen: ${wide?.outerHTML.slice(0, 120)}`);
}
for (const field of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
  if (!field.labels.length && !field.getAttribute("aria-label")) wrong.push(`no label: ${field.name}`);
}
for (const target of document.querySelectorAll("main button, header a, header button, main select, main input:not([type=hidden])")) {
  const box = target.getBoundingClientRect(); // WCAG 2.2, 2.5.8
  if (target.checkVisibility() && (box.height < 24 || box.width < 24)) wrong.push(`too small: ${target.outerHTML.slice(0, 80)}`);
}
if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push(`the id ${id} stands twice`);
const [page] = performance.getEntriesByType("navigation"), parts = performance.getEntriesByType("resource");
for (const part of parts) if (!part.name.startsWith(location.origin)) wrong.push(`from elsewhere: ${part.name}`);
const bytes = [page, ...parts].reduce((sum, part) => sum + part.decodedBodySize, 0);
if (page.decodedBodySize < 500) wrong.push("the page is empty");
if (bytes > 100_000) wrong.push(`${bytes} bytes`);
return { wrong, bytes, milliseconds: Math.round(page.loadEventEnd - page.startTime) };
"##;

async fn pages(browser: &Browser, address: &str) -> Vec<(&'static str, String)> {
    browser.goto(&format!("http://{address}/board")).await;
    let deal = browser.find(".card a").await.attr("href").await.unwrap().unwrap();
    browser.goto(&format!("http://{address}/contacts")).await;
    let contact = browser.find("table a").await.attr("href").await.unwrap().unwrap();
    vec![
        ("board", "/board".to_owned()),
        ("deals", "/deals".to_owned()),
        ("deal", deal),
        ("deal-new", "/deals/new".to_owned()),
        ("contacts", "/contacts?q=a&kind=person".to_owned()),
        ("contact", contact),
        ("contact-new", "/contacts/new".to_owned()),
        ("dashboard", "/dashboard".to_owned()),
        ("cache", "/cache".to_owned()),
        ("password", "/password".to_owned()),
        ("missing", "/deals/nope".to_owned()),
    ]
}

/// Reads a list so often, by ten calls, that its name, which is a long one, is among those that are read most: one of 64 reads is looked at.
const READ_MUCH: &str = "
const get = (path) => {
  const request = new XMLHttpRequest();
  request.open('GET', path, false);
  request.send();
  return request.responseText;
};
const company = JSON.parse(get('/api/me')).company_id;
for (let times = 0; times < 100; times += 1) get(`/api/companies/${company}/deals?stage=won&per_page=1`);
";

#[test]
fn every_page_is_small_readable_and_whole_at_a_desk_and_on_a_phone() {
    testkit::run_within(4 * LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let server = Serving::start(directory.path(), &["--limit-per-user=0"]);
        let driver = Driver::start();
        let mut table = String::new();
        for (screen, name, scheme) in [
            (DESK, "1280", "light"),
            (PHONE, "390", "light"),
            (DESK, "1280-dark", "dark"),
            (PHONE, "390-dark", "dark"),
        ] {
            let browser = driver.browser(screen, scheme).await;
            browser.goto(&format!("http://{}/sign-in", server.address)).await;
            let found = browser.run(EVERY_PAGE).await;
            assert_eq!(found["wrong"], serde_json::json!([]), "sign-in at {name}");
            browser.picture(&format!("sign-in-{name}")).await;
            signed_in(&browser, &server.address).await;
            if (screen, scheme) == (DESK, "light") {
                for _ in 0..10 {
                    browser.run(READ_MUCH).await;
                }
            }
            for (page, path) in pages(&browser, &server.address).await {
                browser.goto(&format!("http://{}{path}", server.address)).await;
                if page == "cache" {
                    assert!(browser.text("main").await.contains("deals:company:"), "a long name is shown");
                }
                browser
                    .until("return performance.getEntriesByType('navigation')[0].loadEventEnd > 0", page)
                    .await;
                let found = browser.run(EVERY_PAGE).await;
                assert_eq!(found["wrong"], serde_json::json!([]), "{page} at {name}");
                writeln!(table, "{page} {name}: {} bytes, {} ms", found["bytes"], found["milliseconds"])
                    .unwrap();
                browser.picture(&format!("{page}-{name}")).await;
            }
            browser.close().await;
        }
        eprint!("{table}");
    });
}

#[test]
fn what_somebody_has_begun_is_not_taken_away_by_what_others_change() {
    testkit::run_within(2 * LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let server = Serving::start(directory.path(), &[]);
        let driver = Driver::start();
        let browser = driver.browser(DESK, "light").await;
        browser.goto(&format!("http://{}/sign-in", server.address)).await;
        signed_in(&browser, &server.address).await;
        browser.click("#engaging .card a").await;
        browser.until("return location.pathname.startsWith('/deals/')", "the page of a deal").await;
        let deal = format!("http://{}/api{}", server.address, browser.path().await);
        let rename = async |title: &str| {
            let change = serde_json::json!({"title": title});
            let answer = server.client().await.patch(&deal).json(&change).send().await.unwrap();
            assert!(answer.status().is_success());
        };
        // While nothing is begun, what somebody else has changed is shown.
        rename("Changed once").await;
        browser.becomes("h1", "Changed once").await;
        browser.fill("#text", "They call back on Monday").await;
        browser.run("document.querySelector('#activities ~ form button, form[action$=activities] button').focus()").await;
        rename("Changed twice").await;
        browser
            .until(
                "return document.getElementById('said').textContent.startsWith('Somebody has changed')",
                "a word of it",
            )
            .await;
        assert_eq!(browser.text("h1").await, "Changed once", "the page stays");
        let typed = browser.find("#text").await.prop("value").await.unwrap().unwrap();
        assert_eq!(typed, "They call back on Monday");
        browser.click("form[action$=activities] button").await;
        browser.becomes("h1", "Changed twice").await;
        assert!(browser.text("ul.notes").await.contains("They call back on Monday"));
        browser.close().await;
    });
}

#[test]
fn a_form_that_is_refused_keeps_what_was_typed_and_says_what_is_wrong() {
    testkit::run_within(2 * LIMIT, async {
        let directory = tempfile::tempdir().unwrap();
        let server = Serving::start(directory.path(), &[]);
        let driver = Driver::start();
        let browser = driver.browser(PHONE, "light").await;
        browser.goto(&format!("http://{}/sign-in", server.address)).await;
        browser.fill("#email", demo::ADMIN).await;
        browser.fill("#password", "a wrong one").await;
        browser.click("form button").await;
        assert!(browser.find(".alert").await.text().await.unwrap().contains("no active user"));
        assert_eq!(browser.find("#email").await.prop("value").await.unwrap().unwrap(), demo::ADMIN);
        signed_in(&browser, &server.address).await;

        browser.goto(&format!("http://{}/deals/new", server.address)).await;
        browser.fill("#title", "<b>Twelve & \"meters\"</b>").await;
        browser.fill("#value_cents", "12,50").await;
        browser.fill("#contact_id", "Nobody of this name").await;
        browser.choose("#stage", "won").await;
        browser.click("main form button").await;
        let alert = browser.find(".alert").await.text().await.unwrap();
        for part in ["Value is no amount", "Contact is not known"] {
            assert!(alert.contains(part), "{alert}");
        }
        let typed = browser.find("#title").await.prop("value").await.unwrap().unwrap();
        assert_eq!(typed, "<b>Twelve & \"meters\"</b>");
        browser.picture("refused-390").await;

        // A contact is completed while its name is typed.
        browser.fill("#value_cents", "1250.50").await;
        browser.choose("#stage", "engaging").await;
        browser.run("document.querySelector('#engaged_on').value = '2026-01-31'").await;
        browser.fill("#contact_id", "an").await;
        browser
            .until("return document.querySelectorAll('#contacts option').length > 1", "names to choose from")
            .await;
        let email = browser.run("return [...document.querySelectorAll('#contacts option')].find((o) => o.value.includes('@')).value").await;
        browser.fill("#contact_id", email.as_str().unwrap()).await;
        browser.click("main form button").await;
        browser
            .until("return /^.deals.[0-9a-f-]{36}$/.test(location.pathname)", "the page of the deal")
            .await;
        assert_eq!(browser.text("h1").await, "<b>Twelve & \"meters\"</b>");
        assert!(browser.text(".head").await.contains("1,250.50"), "{}", browser.text(".head").await);
        assert_ne!(browser.find("#contact_id").await.prop("value").await.unwrap().unwrap(), "");
        browser.close().await;
    });
}
