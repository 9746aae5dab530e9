# An example of a training: saved step by step on the shared file system, resumed after a lost worker, watched.
# Start it in the project's folder: `nomad job run jobs/training.nomad.hcl`; the variables say what may be different.
# The platform's commands register pushgateway alone, not this.

variable "driver" {
  type        = string
  description = "Task driver: docker, or raw_exec where Python is a program of the machine."
  default     = "docker"
}

variable "image" {
  type        = string
  description = "Image with Python 3.9 or newer, and with an account nobody."
  default     = "python:3.13-slim"
}

variable "program" {
  type        = string
  description = "Text of the program; jobs/training.py of the current folder when empty, which Nomad's API cannot read."
  default     = ""
}

variable "steps" {
  type        = number
  description = "Steps until the model is finished. A higher number later goes on where the training was."
  default     = 600
}

variable "seconds_per_step" {
  type        = number
  description = "Time that a step takes; here it is waited, as the model is tiny."
  default     = 1
}

variable "steps_per_checkpoint" {
  type        = number
  description = "Steps between two checkpoints: what a lost worker costs at most. Figures are pushed as often."
  default     = 30
}

job "training" {
  # No batch job: a drain waits for those until its deadline, then stops them and starts them nowhere else (Nomad 1.11,
  # nomad/drainer/drainer.go), so that a worker that Auto Scaling or the spot market takes back would end a training.
  # A service moves at once. Its price: a finished training waits for `nomad job stop training`.
  type = "service"

  group "training" {
    count = 1

    constraint {
      attribute = "${node.class}"
      value     = "ml-workers"
    }

    volume "ml-data" {
      type   = "host"
      source = "ml-data"
    }

    # A fault of the program itself, or of what it needs for a moment: here, three times.
    restart {
      attempts = 3
      interval = "10m"
      delay    = "15s"
      mode     = "fail"
    }

    # Then, and when the worker is lost, on another one: as often as it takes.
    reschedule {
      unlimited      = true
      delay          = "15s"
      delay_function = "exponential"
      max_delay      = "10m"
    }

    # A worker that hears nothing from the servers stops it by itself, and only then is it started elsewhere.
    disconnect {
      stop_on_client_after = "30s"
    }

    task "train" {
      driver = var.driver
      # Programs of the machine are not run as root, and the image has the same account.
      user = "nobody"

      # A drain, an update or a stop: the checkpoint is saved, which takes a moment here and minutes for large models.
      # The workers allow as much as a drain takes. What is started elsewhere meanwhile waits for the lock on the folder.
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      # raw_exec reads "command" and docker "image": each driver is given its own words alone.
      config {
        image   = var.driver == "docker" ? var.image : null
        command = "python3"
        args    = ["${NOMAD_TASK_DIR}/training.py"]
      }

      # Where the machine has it, and under the same path in a container; programs of the machine see it anyway.
      dynamic "volume_mount" {
        for_each = var.driver == "raw_exec" ? [] : ["ml-data"]
        content {
          volume      = volume_mount.value
          destination = "/opt/ml-data"
        }
      }

      env {
        TRAINING_STEPS                = var.steps
        TRAINING_SECONDS_PER_STEP     = var.seconds_per_step
        TRAINING_STEPS_PER_CHECKPOINT = var.steps_per_checkpoint
        TRAINING_FOLDER               = "/opt/ml-data/${NOMAD_JOB_NAME}"
        TRAINING_PUSHGATEWAY_FILE     = "${NOMAD_TASK_DIR}/pushgateway"
      }

      # Nomad gives the task a token of Consul for its own identity, which the file below is filled with.
      consul {}

      # It may move while a training runs: the program reads the file each time.
      template {
        data        = "{{ range service \"pushgateway\" }}http://{{ .Address }}:{{ .Port }}\n{{ end }}"
        destination = "local/pushgateway"
        change_mode = "noop"
      }

      # The delimiters are others than Nomad's own: nothing is filled in.
      template {
        data            = var.program == "" ? file("jobs/training.py") : var.program
        destination     = "local/training.py"
        change_mode     = "noop"
        left_delimiter  = "<%"
        right_delimiter = "%>"
      }

      resources {
        # In MHz and MB.
        cpu    = 500
        memory = 128
      }
    }
  }
}
