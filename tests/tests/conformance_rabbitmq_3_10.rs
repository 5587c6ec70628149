//! What every broker must do, by RabbitMQ 3.10.

use tidings_tests::conformance::{OwnNode, SharedNode, V3_10};

tidings_tests::conforms!(SharedNode<V3_10>);
tidings_tests::conforms_over_amqp!(test(SharedNode<V3_10>));
tidings_tests::survives_outages!(test(OwnNode<V3_10>));
