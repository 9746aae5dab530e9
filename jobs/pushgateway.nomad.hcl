# Training jobs are gone before Prometheus would scrape them: they push what they measured here, and it stays.
# One instance: what was pushed is in its memory, and two would each have half of it.

variable "image" {
  type        = string
  description = "Image of Pushgateway; a deployed region takes the one of its own registry."
  default     = "prom/pushgateway:v1.11.1"
}

variable "driver" {
  type        = string
  description = "Task driver: docker, or raw_exec where pushgateway is a program of the machine."
  default     = "docker"
}

job "pushgateway" {
  type = "service"

  group "pushgateway" {
    count = 1

    network {
      port "http" {
        # The port that the security groups open, and that training jobs are told.
        static = 9091
      }
    }

    # An update stops the old instance first: both want the same port if they come to the same worker.
    update {
      max_parallel     = 1
      health_check     = "checks"
      min_healthy_time = "10s"
      healthy_deadline = "3m"
      auto_revert      = true
    }

    service {
      name = "pushgateway"
      port = "http"

      check {
        type     = "http"
        path     = "/-/ready"
        interval = "10s"
        timeout  = "2s"
      }
    }

    task "pushgateway" {
      driver = var.driver
      # As in the image. Programs of the machine are not run as root.
      user = "nobody"

      # raw_exec reads "command" and docker "image": each driver is given its own words alone.
      config {
        image        = var.driver == "docker" ? var.image : null
        network_mode = var.driver == "docker" ? "host" : null
        command      = var.driver == "docker" ? null : "pushgateway"
        args         = ["--web.listen-address=:${NOMAD_PORT_http}"]
      }

      resources {
        # In MHz and MB: some ten thousand series.
        cpu    = 100
        memory = 128
      }
    }
  }
}
