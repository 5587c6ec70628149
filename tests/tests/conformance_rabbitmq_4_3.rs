//! What every broker must do, by RabbitMQ 4.3.

use tidings_tests::conformance::{OwnNode, SharedNode, V4_3};

tidings_tests::conforms!(SharedNode<V4_3>);
tidings_tests::conforms_over_amqp!(test(SharedNode<V4_3>));
tidings_tests::survives_outages!(test(OwnNode<V4_3>));
