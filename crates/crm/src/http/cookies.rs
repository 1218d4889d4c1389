//! The token of a session on its way: in a cookie for browsers, as a bearer token for programs.

use crate::config::Settings;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use cookie::{Cookie, SameSite};
use larder::session::Token;

/// The cookie's name. Over TLS it has the prefix with which a browser takes it from no other host and for no other path
/// (RFC 6265bis, 4.1.3.2).
const NAME: &str = "crm_session";
const NAME_OVER_TLS: &str = "__Host-crm_session";

/// What says of a browser that a user has signed in there before.
const DEVICE: &str = "crm_device";
const DEVICE_OVER_TLS: &str = "__Host-crm_device";

/// A browser keeps that for as long as the server remembers it.
const DEVICE_MAX_AGE: cookie::time::Duration = cookie::time::Duration::days(366);

/// A browser keeps the cookie for as long as a session may last; whether it holds, the server says.
const MAX_AGE: cookie::time::Duration = cookie::time::Duration::days(30);

/// The token that a request came with.
pub(crate) fn token(headers: &HeaderMap) -> Option<Token> {
    let bearer = headers.get(header::AUTHORIZATION).map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| Token::parse(token.trim()))?
    });
    // Whoever says who it is by a header is not somebody else by a cookie.
    bearer.unwrap_or_else(|| of_cookie(headers, [NAME, NAME_OVER_TLS]))
}

/// What says of a browser that a user has signed in there before.
pub(crate) fn device(headers: &HeaderMap) -> Option<Token> {
    of_cookie(headers, [DEVICE, DEVICE_OVER_TLS])
}

fn of_cookie(headers: &HeaderMap, names: [&str; 2]) -> Option<Token> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = values.flat_map(Cookie::split_parse).filter_map(Result::ok);
    cookies.find(|cookie| names.contains(&cookie.name())).and_then(|cookie| Token::parse(cookie.value()))
}

/// The header that hands a token to a browser, which shows it to no script and to no other site.
pub(crate) fn set(settings: &Settings, token: &Token) -> [(HeaderName, HeaderValue); 1] {
    header_of(settings, [NAME, NAME_OVER_TLS], token.expose(), MAX_AGE)
}

/// The header that lets a browser be known as one in which a user has signed in.
pub(crate) fn set_device(settings: &Settings, device: &Token) -> [(HeaderName, HeaderValue); 1] {
    header_of(settings, [DEVICE, DEVICE_OVER_TLS], device.expose(), DEVICE_MAX_AGE)
}

/// The header that makes a browser forget its token.
pub(crate) fn clear(settings: &Settings) -> [(HeaderName, HeaderValue); 1] {
    header_of(settings, [NAME, NAME_OVER_TLS], "", cookie::time::Duration::ZERO)
}

fn header_of(
    settings: &Settings,
    [plain, over_tls]: [&'static str; 2],
    value: &str,
    max_age: cookie::time::Duration,
) -> [(HeaderName, HeaderValue); 1] {
    let is_over_tls = settings.is_over_tls();
    let name = if is_over_tls { over_tls } else { plain };
    // Lax: a link from elsewhere finds its reader signed in. What changes something is refused from elsewhere by `origin`.
    let cookie = Cookie::build((name, value)).path("/").http_only(true).same_site(SameSite::Lax);
    let cookie = cookie.secure(is_over_tls).max_age(max_age).build().to_string();
    // Digits, and words that stand above: always a header.
    let value = HeaderValue::try_from(cookie).unwrap_or_else(|_never| HeaderValue::from_static(""));
    [(header::SET_COOKIE, value)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::try_from(*value).unwrap())).collect()
    }

    #[test]
    fn a_token_is_taken_from_a_header_or_else_from_a_cookie() {
        let (one, other) = (Token::new(), Token::new());
        let bearer = format!("Bearer {}", one.expose());
        let cookies = format!("a=b; crm_session={}; c", other.expose());
        assert_eq!(token(&headers(&[(header::AUTHORIZATION, &bearer)])), Some(one.clone()));
        assert_eq!(token(&headers(&[(header::COOKIE, &cookies)])), Some(other));
        let both = [(header::COOKIE, cookies.as_str()), (header::AUTHORIZATION, &bearer)];
        assert_eq!(token(&headers(&both)), Some(one));
        for wrong in ["Basic abc", "Bearer", "Bearer x", ""] {
            let both = [(header::COOKIE, cookies.as_str()), (header::AUTHORIZATION, wrong)];
            assert_eq!(token(&headers(&both)), None, "{wrong}");
        }
        assert_eq!(token(&headers(&[(header::COOKIE, "crm_session=short; =; ;;")])), None);
    }
}
