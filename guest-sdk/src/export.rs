//! How a component learns which handlers it has.
//!
//! Whether a handler is sync or async is known only where it is written, and only its macro can tell another macro. So
//! `export!` asks each handler in turn: it calls the macro that `#[handler]` left under the handler's name, which
//! calls [`__collect!`](crate::__collect) with its mode, which asks the next one, and at the end writes the exports.

/// Takes one handler's answer and asks the next, or writes the exports when all have answered.
///
/// `mode {asked} { {sync …} {async …} {still to ask …} {module} {version} }`
#[doc(hidden)]
#[macro_export]
macro_rules! __collect {
    (sync {$($asked:tt)*} {
        {$($sync:tt)*} {$($async:tt)*} {{$($next:tt)*} $($rest:tt)*} $module:tt $version:tt
    }) => {
        $($next)*! { {$($next)*} { {$($sync)* {$($asked)*}} {$($async)*} {$($rest)*} $module $version } }
    };
    (async {$($asked:tt)*} {
        {$($sync:tt)*} {$($async:tt)*} {{$($next:tt)*} $($rest:tt)*} $module:tt $version:tt
    }) => {
        $($next)*! { {$($next)*} { {$($sync)*} {$($async)* {$($asked)*}} {$($rest)*} $module $version } }
    };
    (sync {$($asked:tt)*} { {$($sync:tt)*} {$($async:tt)*} {} $module:tt $version:tt }) => {
        $crate::__export_sync! { {$($sync)* {$($asked)*}} $module $version }
        $crate::__export_async! { {$($async)*} $module $version }
    };
    (async {$($asked:tt)*} { {$($sync:tt)*} {$($async:tt)*} {} $module:tt $version:tt }) => {
        $crate::__export_sync! { {$($sync)*} $module $version }
        $crate::__export_async! { {$($async)* {$($asked)*}} $module $version }
    };
}

/// Exports `handlers`, where there are any sync ones.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_sync {
    ({} $module:tt $version:tt) => {};
    ({$({$($handler:tt)*})*} {$module:expr} {$version:expr}) => {
        const _: () = {
            struct Component;

            // Only a component is asked for its handlers; natively this makes them count as used.
            const _: Component = Component;

            impl $crate::__private::sync_module::exports::windlass::job::handlers::Guest for Component {
                fn describe() -> $crate::__private::wit::Manifest {
                    let handlers = ::std::vec![$(<$($handler)* as $crate::__private::Handler>::describe()),*];
                    $crate::__private::manifest($module, $version, handlers)
                }

                fn run(
                    job: $crate::__private::wit::Job,
                ) -> ::std::result::Result<::std::option::Option<::std::string::String>, $crate::__private::wit::JobError>
                {
                    let context = $crate::__private::context(job);
                    match context.handler() {
                        $(<$($handler)* as $crate::__private::Handler>::NAME => $crate::__private::finish(
                            <$($handler)* as $crate::__private::SyncHandler>::run(&context),
                        ),)*
                        other => $crate::__private::unknown(other),
                    }
                }
            }

            #[cfg(target_family = "wasm")]
            $crate::__private::export_sync_module!(Component with_types_in $crate::__private::sync_module);
        };
    };
}

/// Exports `async-handlers`, where there are any.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_async {
    ({} $module:tt $version:tt) => {};
    ({$({$($handler:tt)*})*} {$module:expr} {$version:expr}) => {
        const _: () = {
            struct Component;

            // Only a component is asked for its handlers; natively this makes them count as used.
            const _: Component = Component;

            impl $crate::__private::async_module::exports::windlass::job::async_handlers::Guest for Component {
                fn describe() -> $crate::__private::wit::Manifest {
                    let handlers = ::std::vec![$(<$($handler)* as $crate::__private::Handler>::describe()),*];
                    $crate::__private::manifest($module, $version, handlers)
                }

                async fn run(
                    job: $crate::__private::wit::Job,
                ) -> ::std::result::Result<::std::option::Option<::std::string::String>, $crate::__private::wit::JobError>
                {
                    let context = $crate::__private::context(job);
                    match context.handler() {
                        $(<$($handler)* as $crate::__private::Handler>::NAME => $crate::__private::finish(
                            <$($handler)* as $crate::__private::AsyncHandler>::run(&context).await,
                        ),)*
                        other => $crate::__private::unknown(other),
                    }
                }
            }

            #[cfg(target_family = "wasm")]
            $crate::__private::export_async_module!(Component with_types_in $crate::__private::async_module);
        };
    };
}
