"""What nodes publish: to CloudWatch, as an alarm must not depend on what it is about, and to Prometheus."""

from __future__ import annotations

NAMESPACE = "MlopsHa"
"""Namespace of the platform's own metrics; nodes may write to no other."""

CERTIFICATE_DAYS = "CertificateDaysToExpiry"
"""Metric: days until a certificate on the node ends."""

CERTIFICATE_DIMENSION = "Certificate"
"""Its dimension: which certificate. Nodes of one role share one, so that a single one that speaks is enough."""

PUBLISH_SECONDS = 3_600
"""How often nodes publish: a certificate's days change once a day, and an hour is soon enough to notice silence."""

AGENT_METRICS_FILE = "boot-agent.prom"
"""File in the folder of metrics that the boot agent writes with each report, for node exporter."""

CERTIFICATE_EXPIRY = "mlops_ha_certificate_expiry_timestamp_seconds"
"""Gauge, label ``certificate``: when a certificate on the node ends, in seconds since 1970."""

NODE_HEALTHY = "mlops_ha_node_healthy"
"""Gauge: 1 while the node reports that it is healthy, 0 otherwise."""

SERVICE_HEALTHY = "mlops_ha_service_healthy"
"""Gauge, label ``service``: 1 while a service of the node answers its probe, 0 otherwise."""

SNAPSHOT_TAKEN = "mlops_ha_snapshot_timestamp_seconds"
"""Gauge, label ``service``: when this server last kept a snapshot, in seconds since 1970; absent if it never led."""

REPORTED = "mlops_ha_report_timestamp_seconds"
"""Gauge: when the boot agent last wrote these figures."""

TRAINING_STEP = "ml_training_step"
"""Gauge, pushed by a training job: the last step that it finished."""

TRAINING_LOSS = "ml_training_loss"
"""Gauge, pushed by a training job: the loss after that step."""

TRAINING_PROGRESS = "ml_training_progress_timestamp_seconds"
"""Gauge, pushed by a training job: when it last saved a checkpoint, in seconds since 1970."""

TRAINING_FINISHED = "ml_training_finished"
"""Gauge, pushed by a training job: 1 when it has done all of its steps, 0 until then."""

TRAINING_GROUP = "ml-training"
"""Label ``service`` of alerts about training jobs, by which they reach those who train."""
