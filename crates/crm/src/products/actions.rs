//! What can be done with products: read through the cache; write, commit, announce.

use super::model::{Product, ProductEdit, ProductId};
use super::{cache, store};
use crate::app::{App, Whose};
use crate::database::Single;
use crate::error::Error;
use crate::http::answer::Seen;
use crate::written::Announced;
use larder_axum::Body;
use larder_axum::Served;
use std::sync::Arc;

/// The whole price list.
///
/// # Errors
/// What the database reports.
///
/// # Cancel safety
/// As [`App::read`].
pub async fn list(app: &App) -> Result<Served, Error> {
    app.read(cache::PRODUCTS.key(&()), cache::list_policy(), Whose::Shared, async |mut single: Single| {
        Ok(Body::shared(&store::all(&mut single).await?)?)
    })
    .await
}

/// Changes a product.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`], [`Error::Conflict`], and those of a change that somebody else was faster with.
///
/// # Cancel safety
/// As [`App::finish`].
pub(super) async fn update(
    app: &Arc<App>,
    id: ProductId,
    edit: ProductEdit,
    seen: Seen,
) -> Result<Announced<Product>, Error> {
    let owned = Arc::clone(app);
    app.finish(async move {
        let mut change = owned.database.change().await?;
        let product = store::find(&mut change, &id).await?.ok_or(Error::NotFound("product"))?;
        seen.check(&product, edit.version, product.version)?;
        let written = store::save(&mut change, product.edited(&edit)?).await?;
        owned.commit(change, written).await
    })
    .await
}
