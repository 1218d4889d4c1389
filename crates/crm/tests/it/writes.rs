//! A write is announced, whatever happens to whoever asked for it. (That forgetting it does not compile is shown by the
//! examples of `crm::written`.)

use crate::running::Data;
use crm::config::Switch;
use std::sync::Arc;
use testkit::gate::Gate;

#[test]
fn a_write_goes_on_when_its_caller_goes_away() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let (before, after) = (Gate::new("before"), Gate::new("after"));
        let app = Arc::clone(&server.app);
        let (held, done) = (before.clone(), after.clone());
        {
            let write = app.finish(async move {
                held.pass().await;
                done.open();
                Ok(())
            });
            let mut write = std::pin::pin!(write);
            tokio::select! {
                _ = &mut write => panic!("the write is held at the gate"),
                () = before.reached() => {} // and here the caller goes away
            }
        }
        before.open();
        after.pass().await;
    });
}

#[test]
fn a_write_that_panics_is_an_error_and_not_a_hang() {
    testkit::run(async {
        let data = Data::demo().await;
        let server = data.serve(Switch::On).await;
        let result = server.app.finish::<(), _>(async { panic!("on purpose") }).await;
        assert!(matches!(result, Err(crm::error::Error::Internal(_))));
    });
}
